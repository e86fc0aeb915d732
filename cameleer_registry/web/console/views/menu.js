// A button that opens a few things to choose from, below it.

import { h } from "../dom.js";

/**
 * @param {string} name a class
 * @param {import("../dom.js").Child} title
 * @param {...import("../dom.js").Child} content
 */
export function menu(name, title, ...content) {
  const summary = h("summary.button.quiet", null, title);
  const element = /** @type {HTMLDetailsElement} */ (
    h(`details.menu.${name}`, null, summary, h("div.menu-body", null, ...content))
  );
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !element.open) return;
    event.stopPropagation();
    element.open = false;
    summary.focus();
  });
  // It closes when something else is looked at, and when something in it was chosen.
  element.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget instanceof Node && !element.contains(relatedTarget)) element.open = false;
  });
  addEventListener("pointerdown", ({ target }) => {
    if (target instanceof Node && !element.contains(target)) element.open = false;
  });
  element.addEventListener("click", ({ target }) => {
    if (target instanceof Element && target.closest(".menu-body [data-chosen]"))
      element.open = false;
  });
  return element;
}

/**
 * The menu that saves what is listed as a file.
 * @param {(format: import("../download.js").Format) => unknown} save
 */
export const exportMenu = (save) =>
  menu(
    "export",
    "Export",
    ...[
      ["csv", "CSV, for a spreadsheet"],
      ["json", "JSON, with everything"],
    ].map(([format, words]) =>
      h(
        "button",
        {
          type: "button",
          "data-chosen": true,
          click: () => save(/** @type {import("../download.js").Format} */ (format)),
        },
        words,
      ),
    ),
  );
