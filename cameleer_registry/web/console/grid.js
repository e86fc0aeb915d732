// A table of any length, of which only the rows in sight are in the document.
//
// Rows have one height, so that the place of each is a multiplication. The scroller is the one
// thing that takes the focus, and says which row is meant by it (aria-activedescendant), as the
// ARIA grid pattern has it; arrows, Page Up and Down, Home, End and Enter do what they should.

import { fill, h, setAttribute } from "./dom.js";
import { Selection } from "./selection.js";

/** Rows above and below those in sight that are there already when they are scrolled to. */
const SPARE = 6;

let grids = 0;

/**
 * @template T
 * @typedef {object} Column
 * @property {string} key
 * @property {string} title
 * @property {string} [hint] what the title means, where it is short
 * @property {boolean} [sortable]
 * @property {(item: T) => import("./dom.js").Child[]} cell
 */

/**
 * @template T
 * @typedef {object} Options
 * @property {string} label what the table shows
 * @property {string} kind a class, which gives the columns their widths
 * @property {Column<T>[]} columns
 * @property {(item: T) => string} key
 * @property {(item: T) => string} [rowClass]
 * @property {(item: T) => void} [open] what Enter and a click on a row do
 * @property {() => void} [close] what Escape does
 * @property {(key: string) => void} [sort]
 * @property {(item: T) => string} [selects] what a row's check box is called; without it, there is none
 * @property {(chosen: ReadonlySet<string>) => void} [chose] is told of the keys of the rows that are chosen
 * @property {() => void} [nearEnd] the last rows have come into sight
 */

/** @template T */
export class Grid {
  #options;
  #id = `grid-${++grids}`;
  /** @type {readonly T[]} */
  #items = [];
  /** @type {Map<string, {element: HTMLElement, item: T, index: number}>} rows in the document */
  #rows = new Map();
  #active = -1;
  /** @type {string | null} */
  #selected = null;
  #rowHeight = 0;
  #scheduled = false;
  #head;
  #body;
  #selection;

  /** @param {Options<T>} options */
  constructor(options) {
    this.#options = options;
    const { label, kind, columns, chose } = options;
    this.#head = h("div.row.head", { role: "row", "aria-rowindex": 1 });
    this.#selection = options.selects
      ? new Selection((chosen) => {
          chose?.(chosen);
          this.#schedule();
        })
      : null;
    if (this.#selection) this.#head.append(this.#selection.header(() => this.#keys()));
    for (const column of columns) this.#head.append(this.#header(column));
    this.#body = h("div.rows", { role: "rowgroup" });
    this.element = h(
      `div.grid.${kind}`,
      {
        role: "grid",
        "aria-label": label,
        "aria-colcount": columns.length + (this.#selection ? 1 : 0),
        tabindex: 0,
        keydown: (event) => this.#key(event),
        scroll: () => this.#schedule(),
        click: (event) => this.#click(event),
      },
      h("div", { role: "rowgroup", class: "headgroup" }, this.#head),
      this.#body,
    );
    this.element.addEventListener("focus", () => this.#focused());
    new ResizeObserver(() => this.#resized()).observe(this.element);
  }

  #keys() {
    return this.#items.map(this.#options.key);
  }

  /** Choose none. */
  clearSelection() {
    this.#selection?.clear();
  }

  /** @param {readonly T[]} items */
  setItems(items) {
    const active = this.#items[this.#active];
    const key = active && this.#options.key(active);
    this.#items = items;
    // The row that is meant stays meant, wherever it has gone.
    if (active && (!items[this.#active] || this.#options.key(items[this.#active]) !== key)) {
      this.#active = items.findIndex((item) => this.#options.key(item) === key);
    }
    setAttribute(this.element, "aria-rowcount", items.length + 1);
    if (this.#selection?.size) this.#selection.keep(new Set(this.#keys()));
    this.#schedule();
  }

  /** @param {string} key @param {boolean} descending */
  setSort(key, descending) {
    const headers = /** @type {HTMLElement[]} */ ([...this.#head.children]);
    if (this.#selection) headers.shift();
    this.#options.columns.forEach((column, index) => {
      if (!column.sortable) return;
      const sorted = column.key === key;
      const value = !sorted ? "none" : descending ? "descending" : "ascending";
      setAttribute(headers[index], "aria-sort", value);
    });
  }

  /** @param {string | null} key of the row whose item is shown elsewhere */
  setSelected(key) {
    this.#selected = key;
    this.#schedule();
  }

  toTop() {
    this.element.scrollTop = 0;
  }

  /** @param {Column<T>} column */
  #header({ key, title, hint, sortable }) {
    if (!sortable) return h(`div.cell.of-${key}`, { role: "columnheader", title: hint }, title);
    const button = h("button.sort", { type: "button", title: hint }, title);
    button.addEventListener("click", () => this.#options.sort?.(key));
    return h(`div.cell.of-${key}`, { role: "columnheader", "aria-sort": "none" }, button);
  }

  #resized() {
    const height = parseFloat(getComputedStyle(this.element).getPropertyValue("--row-height"));
    if (height !== this.#rowHeight) {
      this.#rowHeight = height;
      for (const row of this.#rows.values()) row.index = -1;
    }
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  #draw() {
    const height = this.#rowHeight;
    if (this.#items.length && !this.element.clientHeight) return; // not in sight
    this.#body.style.height = `${this.#items.length * height}px`;
    const top = this.element.scrollTop;
    const first = Math.max(0, Math.floor(top / height) - SPARE);
    const last = Math.ceil((top + this.element.clientHeight) / height) + SPARE;
    const before = this.#rows;
    this.#rows = new Map();
    const wanted = this.#items.slice(first, last);
    const keys = wanted.map(this.#options.key);
    const kept = new Set(keys);
    const spare = [...before].filter(([key]) => !kept.has(key)).map(([, row]) => row);
    for (const row of spare) row.element.remove();
    // In the order in which they are seen, for those who read them one after the other; what stays
    // is not moved, and keeps the focus where it has it.
    let next = this.#body.firstChild;
    wanted.forEach((item, offset) => {
      const key = keys[offset];
      const row = before.get(key) ?? spare.pop() ?? this.#row();
      this.#show(row, item, first + offset, key);
      this.#rows.set(key, row);
      if (row.element === next) next = next.nextSibling;
      else this.#body.insertBefore(row.element, next);
    });
    const active = this.#rows.get(this.#activeKey());
    setAttribute(this.element, "aria-activedescendant", active?.element.id);
    this.#selection?.show(this.#items.length);
    if (last >= this.#items.length) this.#options.nearEnd?.();
  }

  #activeKey() {
    const item = this.#items[this.#active];
    return item ? this.#options.key(item) : "";
  }

  #row() {
    const element = h("div.row", { role: "row" });
    if (this.#selection) element.append(this.#selection.cell());
    for (const { key } of this.#options.columns) {
      element.append(h(`div.cell.of-${key}`, { role: "gridcell" }));
    }
    return { element, item: /** @type {T} */ (/** @type {unknown} */ (null)), index: -1 };
  }

  /**
   * @param {{element: HTMLElement, item: T, index: number}} row
   * @param {T} item
   * @param {number} index
   * @param {string} key
   */
  #show(row, item, index, key) {
    const { element } = row;
    const { columns, rowClass, selects } = this.#options;
    const first = this.#selection ? 1 : 0;
    if (row.item !== item) {
      row.item = item;
      columns.forEach((column, at) => fill(element.children[at + first], ...column.cell(item)));
    }
    if (selects) this.#selection?.mark(element.children[0], key, selects(item));
    if (row.index !== index) {
      row.index = index;
      element.id = `${this.#id}-${index}`;
      element.setAttribute("aria-rowindex", String(index + 2));
      element.style.transform = `translateY(${index * this.#rowHeight}px)`;
    }
    const selected = key === this.#selected;
    const classes = [
      "row",
      rowClass?.(item),
      selected && "selected",
      index === this.#active && "active",
    ];
    const name = classes.filter(Boolean).join(" ");
    if (element.className !== name) element.className = name;
    if (this.#options.open) setAttribute(element, "aria-selected", selected ? "true" : "false");
  }

  /** @param {number} index */
  #mean(index) {
    this.#active = Math.max(0, Math.min(index, this.#items.length - 1));
    const { element } = this;
    const head = this.#head.offsetHeight;
    const top = this.#active * this.#rowHeight;
    const bottom = top + this.#rowHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (bottom > element.scrollTop + element.clientHeight - head) {
      element.scrollTop = bottom - element.clientHeight + head;
    }
    this.#draw();
  }

  #focused() {
    if (this.#active < 0 && this.#items.length && this.element.matches(":focus-visible")) {
      this.#mean(Math.ceil(this.element.scrollTop / this.#rowHeight));
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "Escape") this.#options.close?.();
    if (event.target !== this.element || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.#rowHeight) - 2);
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => this.#mean(this.#active + 1),
      ArrowUp: () => this.#mean(this.#active - 1),
      PageDown: () => this.#mean(this.#active + page),
      PageUp: () => this.#mean(this.#active - page),
      Home: () => this.#mean(0),
      End: () => this.#mean(this.#items.length - 1),
      Enter: () => this.#open(this.#items[this.#active]),
    };
    const meant = this.#activeKey();
    if (this.#selection && meant) keys[" "] = () => this.#selection?.toggle(meant);
    const act = keys[event.key];
    if (!act || !this.#items.length) return;
    event.preventDefault();
    act();
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = /** @type {Element} */ (event.target);
    if (target.closest(".of-check")) {
      this.#selection?.click(target, event.shiftKey, () => this.#keys());
      return;
    }
    const link = /** @type {HTMLElement | null} */ (target.closest("a, button"));
    // A link that opens what its row does leaves what is filtered as it is; but not in a new tab.
    const opens = link?.dataset.opens !== undefined;
    if (link && (!opens || event.ctrlKey || event.metaKey || event.shiftKey)) return;
    event.preventDefault();
    const element = target.closest(".rows > .row");
    const row = [...this.#rows.values()].find((candidate) => candidate.element === element);
    if (!row || getSelection()?.type === "Range") return; // text is being selected
    this.#active = row.index;
    this.#draw();
    this.#open(row.item);
  }

  /** @param {T | undefined} item */
  #open(item) {
    if (item) this.#options.open?.(item);
  }
}
