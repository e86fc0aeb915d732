// What can be done with the agents that are chosen in the table.

import { h, setText, show } from "../dom.js";
import { agents } from "./parts.js";

export class Chosen {
  #text = h("strong");
  #send;
  #forget;

  /** @param {{send: () => void, forget: () => void, clear: () => void}} acts @param {HTMLElement} exporting */
  constructor({ send, forget, clear }, exporting) {
    this.#send = h("button.primary", { type: "button", click: send }, "Send command");
    this.#forget = h("button.quiet.danger-text", { type: "button", click: forget }, "Forget");
    this.element = h(
      "div.chosen",
      { role: "group", "aria-label": "Chosen agents", hidden: true },
      this.#text,
      this.#send,
      this.#forget,
      exporting,
      h("button.quiet", { type: "button", click: clear }, "Choose none"),
    );
  }

  /** @param {number} count @param {boolean} operates */
  show(count, operates) {
    show(this.element, count > 0);
    show(this.#send, operates);
    show(this.#forget, operates);
    setText(this.#text, `${agents(count)} chosen`);
  }
}
