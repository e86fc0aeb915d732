// The fleet's totals by status, which are filters as well.

import { h, setAttribute, setText, show } from "../dom.js";
import { counted, number, percent } from "../format.js";
import { STATUSES } from "../fleet.js";
import { word } from "./parts.js";

/** @typedef {import("../fleet.js").Status} Status */

export class Totals {
  #tiles;
  #all;
  #share = h(
    "div.share",
    { "aria-hidden": "true" },
    ...STATUSES.map((status) => h(`i.${status.toLowerCase()}`)),
  );

  /** @param {(status: Status | null) => void} toggle null stands for all of them */
  constructor(toggle) {
    this.#tiles = new Map(
      STATUSES.map((status) => [
        status,
        new Tile(status.toLowerCase(), word(status), () => toggle(status)),
      ]),
    );
    this.#all = new Tile("all", "All agents", () => toggle(null));
    this.element = h(
      "div.totals",
      { role: "group", "aria-label": "Filter by status" },
      this.#all.element,
      ...[...this.#tiles.values()].map(({ element }) => element),
      this.#share,
    );
  }

  /**
   * @param {import("../fleet.js").Totals} totals
   * @param {number} whole
   * @param {Status[]} chosen
   */
  show(totals, whole, chosen) {
    this.#all.show(whole, counted(totals.connected, "stream"), chosen.length === 0);
    for (const [status, tile] of this.#tiles) {
      tile.show(totals[status], percent(totals[status], whole), chosen.includes(status));
    }
    STATUSES.forEach((status, index) => {
      const part = /** @type {HTMLElement} */ (this.#share.children[index]);
      part.style.flexGrow = String(totals[status]);
      show(part, totals[status] > 0);
    });
  }
}

class Tile {
  #count = h("span.count", null, "0");
  #note = h("span.note");

  /**
   * @param {string} kind
   * @param {string} title
   * @param {() => void} toggle
   */
  constructor(kind, title, toggle) {
    this.element = h(
      `button.tile.${kind}`,
      { type: "button", "aria-pressed": "false", click: toggle },
      h("span.title", null, h("i.sign", { "aria-hidden": "true" }), title),
      this.#count,
      this.#note,
    );
  }

  /** @param {number} value @param {string} note @param {boolean} pressed */
  show(value, note, pressed) {
    setText(this.#count, number(value));
    setText(this.#note, note);
    setAttribute(this.element, "aria-pressed", pressed ? "true" : "false");
    this.element.classList.toggle("none", value === 0);
  }
}
