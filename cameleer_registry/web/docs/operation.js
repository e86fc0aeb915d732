// One operation: what it takes, what it answers, and a form to try it.

import { h } from "../console/dom.js";
import { written } from "../console/json.js";
import { exampleOf } from "./document.js";
import { form } from "./form.js";
import { prose, words } from "./prose.js";
import { typeOf } from "./schema.js";

/** @typedef {import("./document.js").Document} Document */
/** @typedef {import("./document.js").Operation} Operation */
/** @typedef {import("./document.js").Response} Response */

/**
 * @param {Document} api
 * @param {Operation} one
 * @returns {Node[]}
 */
export function operation(api, one) {
  const [refusals, answers] = split(one.responses, ({ status }) => status >= "400");
  return [
    ...prose(one.description),
    h("h3", null, "Try it"),
    form(one),
    h("h3", null, "Answers"),
    ...answers.map(answer),
    h("h3", null, "Refusals"),
    h(
      "dl.refusals",
      null,
      ...refusals.flatMap((response) => [
        h("dt", null, h("code", null, response.status)),
        h("dd", null, ...prose(response.description)),
      ]),
    ),
  ];
}

/**
 * @template T
 * @param {T[]} all
 * @param {(one: T) => boolean} belongs
 * @returns {[T[], T[]]}
 */
const split = (all, belongs) => [all.filter(belongs), all.filter((one) => !belongs(one))];

/** @param {Response} response */
function answer({ status, description, content, headers }) {
  return h(
    "section.answer",
    null,
    h("p", null, h("code.status", null, status), " ", ...words(description)),
    ...content.map(([type, media]) => body(type, media)),
    headers.length
      ? h(
          "p.headers",
          null,
          "Headers: ",
          ...headers.flatMap(([name], index) => [index ? ", " : "", h("code", null, name)]),
        )
      : null,
  );
}

/** @param {string} type @param {any} media */
function body(type, media) {
  const example = exampleOf(media);
  return h(
    "div",
    null,
    h(
      "p.type",
      null,
      h("code", null, type),
      ": ",
      ...typeOf(media.schema.contentSchema ?? media.schema),
    ),
    example === undefined
      ? null
      : h("pre.example", { tabindex: 0, "aria-label": "Example" }, text(example)),
  );
}

/** @param {any} example */
const text = (example) => (typeof example === "string" ? example : written(example, 2));
