// Putting a text on the clipboard.

import { h } from "./dom.js";

/**
 * @param {string} text
 * @returns {Promise<boolean>} whether it is there
 */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyOld(text); // browsers have the clipboard over TLS and on localhost only
  }
}

/** @param {string} text */
function copyOld(text) {
  const area = /** @type {HTMLTextAreaElement} */ (
    h("textarea.unseen", { "aria-hidden": "true", tabindex: -1 })
  );
  area.value = text;
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  (before?.closest("dialog") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  before?.focus();
  return done;
}

/** Milliseconds for which a button says that it has copied. */
const SAID = 1500;

/**
 * A button that copies a text.
 * @param {() => string} text
 * @param {string} what it is, as in "id"
 */
export function copyButton(text, what) {
  const label = `Copy ${what}`;
  const button = h("button.copy", { type: "button", "aria-label": label, title: label });
  let timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    const done = await copy(text());
    button.dataset.copied = done ? "yes" : "no";
    button.setAttribute("aria-label", done ? "Copied" : "It could not be copied");
    clearTimeout(timer);
    timer = setTimeout(() => {
      delete button.dataset.copied;
      button.setAttribute("aria-label", label);
    }, SAID);
  });
  return button;
}
