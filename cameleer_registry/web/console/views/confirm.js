// Asking before something is done that cannot be undone.

import { fill, h, show } from "../dom.js";
import { refusal } from "./parts.js";

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {import("../dom.js").Child[]} text
 * @property {string} verb what the button says that does it
 * @property {() => Promise<void>} act what it does; a refusal is shown in the dialog
 */

/**
 * Ask; resolves to whether it was done. The answer that does nothing has the focus.
 * @param {Question} question
 * @returns {Promise<boolean>}
 */
export function confirm({ title, text, verb, act }) {
  const problem = h("div");
  const cancel = h("button.quiet", { type: "button", autofocus: true }, "Cancel");
  const go = /** @type {HTMLButtonElement} */ (h("button.danger", { type: "button" }, verb));
  const dialog = /** @type {HTMLDialogElement} */ (
    h(
      "dialog.confirm",
      { "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" },
      h("h2", { id: "confirm-title" }, title),
      h("div.confirm-text", { id: "confirm-text" }, ...text),
      problem,
      h("div.buttons", null, cancel, go),
    )
  );
  let done = false;
  cancel.addEventListener("click", () => dialog.close());
  go.addEventListener("click", async () => {
    go.disabled = true;
    try {
      await act();
      done = true;
      dialog.close();
    } catch (error) {
      fill(problem, refusal(error));
      show(problem, true);
    }
    go.disabled = false;
  });
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(done);
    });
  });
}
