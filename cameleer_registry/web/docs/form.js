// The form in which a request is put together, sent, and shown with what was answered.

import { fill, h, setText, show } from "../console/dom.js";
import { words } from "./prose.js";
import { curl, Request } from "./request.js";
import { typeOf, boundsOf } from "./schema.js";
import { Shown } from "./shown.js";

/** @typedef {import("./document.js").Operation} Operation */
/** @typedef {import("./document.js").Parameter} Parameter */

let count = 0;

/** @param {Operation} one @returns {HTMLElement} */
export function form(one) {
  const fields = one.parameters.map((parameter) => field(parameter));
  const body = one.body ? bodyField(one.body) : null;
  const line = h("pre.curl", { tabindex: 0, "aria-label": "The same with curl" });
  const alert = h("p.fault", { role: "alert", hidden: true });
  const send = h("button.primary", { type: "submit" }, "Send");
  const stop = h(
    "button.quiet",
    { type: "button", click: () => shown.stop(), hidden: true },
    "Stop",
  );
  const shown = new Shown((busy) => {
    show(stop, busy);
    send.toggleAttribute("disabled", busy);
  });

  function request() {
    const values = fields.map(([parameter, input]) => ({ parameter, value: input.value }));
    return new Request(one, values, body ? body[0].value : null);
  }

  function change() {
    show(alert, false);
    setText(line, curl(request()));
  }

  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    const missing = fields.find(([{ required }, input]) => required && !input.value);
    if (missing) {
      setText(alert, `${missing[0].name} is missing.`);
      show(alert, true);
      missing[1].focus();
      return;
    }
    shown.send(request());
  }

  const element = h("form.try", { submit, input: change, novalidate: true });
  fill(
    element,
    ...fields.map(([, , row]) => row),
    body ? body[1] : null,
    line,
    h("div.buttons", null, send, stop),
    alert,
    shown.element,
  );
  change();
  return element;
}

/**
 * @param {Parameter} parameter
 * @returns {[Parameter, HTMLInputElement, HTMLElement]}
 */
function field(parameter) {
  const { name, description, required = false, schema, example } = parameter;
  const id = `field-${(count += 1)}`;
  const text = example === undefined ? "" : [example].flat().join(",");
  // The version that this page speaks goes along: the server may require one.
  const filled = required || name === "X-Cameleer-Protocol-Version";
  const input = h("input", {
    id,
    placeholder: text,
    value: filled ? text : null,
    "aria-describedby": `${id}-said`,
    "aria-required": required,
    autocomplete: "off",
    spellcheck: "false",
  });
  const row = h(
    "div.field",
    null,
    h("label", { for: id }, h("code", null, name), required ? h("em", null, " required") : null),
    input,
    h(
      "div.said",
      { id: `${id}-said` },
      h("span.type", null, `${parameter.in}: `, ...typeOf(schema), ...boundsOf(schema)),
      " ",
      ...words(description ?? ""),
    ),
  );
  return [parameter, /** @type {HTMLInputElement} */ (input), row];
}

/**
 * @param {NonNullable<Operation["body"]>} body
 * @returns {[HTMLTextAreaElement, HTMLElement]}
 */
function bodyField({ required, schema, example }) {
  const id = `field-${(count += 1)}`;
  const text = example === undefined ? "" : JSON.stringify(example, null, 2);
  const rows = Math.min(20, text.split("\n").length + 1);
  const input = h("textarea", { id, rows, spellcheck: "false" }, text);
  const row = h(
    "div.field",
    null,
    h("label", { for: id }, h("code", null, "body"), required ? h("em", null, " required") : null),
    input,
    h("div.said", null, h("span.type", null, ...typeOf(schema))),
  );
  return [/** @type {HTMLTextAreaElement} */ (input), row];
}
