// Choosing several rows of a table, by check boxes: one by one, a range with Shift, or all of them.
// Only what is in the table can be chosen: nobody acts on what they do not see listed.

import { h, setAttribute } from "./dom.js";

export class Selection {
  #changed;
  /** @type {Set<string>} */
  #chosen = new Set();
  /** @type {string | null} where a range begins */
  #from = null;
  #all = /** @type {HTMLInputElement} */ (
    h("input", { type: "checkbox", "aria-label": "Select all", tabindex: -1 })
  );

  /** @param {(chosen: ReadonlySet<string>) => void} changed */
  constructor(changed) {
    this.#changed = changed;
  }

  get size() {
    return this.#chosen.size;
  }

  /** The cell above the boxes, whose own box is for all. @param {() => string[]} keys of the rows */
  header(keys) {
    this.#all.addEventListener("change", () => {
      this.#chosen = new Set(this.#all.checked ? keys() : []);
      this.#from = null;
      this.#changed(this.#chosen);
    });
    return h("div.cell.of-check", { role: "columnheader" }, this.#all);
  }

  /** A row's cell. */
  cell() {
    const box = h("input", { type: "checkbox", tabindex: -1 });
    return h("div.cell.of-check", { role: "gridcell" }, box);
  }

  /** Bring a row's cell up to date. @param {Element} cell @param {string} key @param {string} label */
  mark(cell, key, label) {
    const box = /** @type {HTMLInputElement} */ (cell.firstElementChild);
    box.dataset.key = key;
    box.checked = this.#chosen.has(key);
    setAttribute(box, "aria-label", label);
  }

  /** @param {number} rows how many there are */
  show(rows) {
    this.#all.checked = rows > 0 && this.size === rows;
    this.#all.indeterminate = this.size > 0 && this.size < rows;
  }

  /**
   * Take a click on a row's cell, beside its box as well.
   * @param {Element} target
   * @param {boolean} range
   * @param {() => string[]} keys of the rows
   */
  click(target, range, keys) {
    const box = /** @type {HTMLInputElement | null} */ (
      target.closest(".of-check")?.querySelector("input[data-key]")
    );
    const key = box?.dataset.key;
    if (key === undefined) return; // the header's
    if (range && this.#from !== null) this.#extend(this.#from, key, keys());
    else this.toggle(key);
  }

  /** @param {string} key */
  toggle(key) {
    if (!this.#chosen.delete(key)) this.#chosen.add(key);
    this.#from = key;
    this.#changed(this.#chosen);
  }

  /** @param {string} from @param {string} to @param {string[]} keys */
  #extend(from, to, keys) {
    const [first, last] = [keys.indexOf(from), keys.indexOf(to)].sort((a, b) => a - b);
    if (first < 0) return this.toggle(to);
    for (const key of keys.slice(first, last + 1)) this.#chosen.add(key);
    this.#changed(this.#chosen);
  }

  /** Keep what is still in the table. @param {ReadonlySet<string>} keys */
  keep(keys) {
    const kept = new Set([...this.#chosen].filter((key) => keys.has(key)));
    if (kept.size === this.#chosen.size) return;
    this.#chosen = kept;
    this.#changed(kept);
  }

  clear() {
    if (!this.size) return;
    this.#chosen = new Set();
    this.#changed(this.#chosen);
  }
}
