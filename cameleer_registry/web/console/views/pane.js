// What is looked at: beside the list it was chosen from, or in its place where there is no room.

import { copyButton } from "../copy.js";
import { h, setText, show } from "../dom.js";

export class Pane {
  #heading;
  #head;
  #copy = copyButton(() => this.#heading.textContent ?? "", "the id");

  /**
   * @param {string} label
   * @param {() => void} close
   */
  constructor(label, close) {
    this.#heading = h("h2", { tabindex: -1 });
    const button = h(
      "button.quiet.close",
      { type: "button", "aria-label": "Close", click: close },
      "×",
    );
    this.#head = h("div.pane-head", null, this.#heading, this.#copy, button);
    this.element = h("section.pane", { "aria-label": label, hidden: true }, this.#head);
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && close());
  }

  /** @param {string} text @param {boolean} [isId] */
  entitle(text, isId = false) {
    setText(this.#heading, text);
    this.#heading.classList.toggle("id", isId);
    show(this.#copy, isId);
  }

  /** Put something beside the heading. @param {HTMLElement} element */
  beside(element) {
    this.#heading.after(element);
  }

  /** Show it; where it is all there is, the reader has come here and should be here. */
  open() {
    show(this.element, true);
    requestAnimationFrame(() => {
      const list = /** @type {HTMLElement | null} */ (this.element.previousElementSibling);
      if (list && !list.offsetParent) this.#heading.focus();
    });
  }

  close() {
    show(this.element, false);
  }
}
