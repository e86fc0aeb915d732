// How the agents that match are spread over versions, routes and capabilities; each value is a filter.

import { fill, h, setAttribute, setText, show } from "../dom.js";
import { number, plain } from "../format.js";
import { natural } from "../natural.js";

/** @typedef {import("../filter.js").FacetName} FacetName */
/** @typedef {import("../filter.js").Filter} Filter */

/** @type {Record<FacetName, string>} */
export const FACET_TITLES = {
  version: "Version",
  route: "Route",
  capability: "Capability",
  stream: "Stream",
};

/** Values that are shown at first, and at most. */
const SHOWN = { first: 8, most: 200 };

/** A value in words. @param {FacetName} name @param {string} value */
export function valueText(name, value) {
  if (name === "stream") return value === "open" ? "Open" : "Closed";
  return value === "" ? "Not said" : plain(value);
}

export class Facets {
  #sections;
  element;

  /**
   * @param {(name: FacetName, value: string) => void} toggle
   * @param {() => void} close
   */
  constructor(toggle, close) {
    const names = /** @type {FacetName[]} */ (Object.keys(FACET_TITLES));
    this.#sections = new Map(
      names.map((name) => [name, new Section(name, (value) => toggle(name, value))]),
    );
    this.element = h(
      "aside.facets",
      { id: "facets", "aria-label": "Facets" },
      h(
        "div.facets-head",
        null,
        h("h2", null, "Facets"),
        h(
          "button.quiet.close",
          { type: "button", "aria-label": "Close facets", click: close },
          "×",
        ),
      ),
      ...[...this.#sections.values()].map(({ element }) => element),
    );
  }

  /** Whether anybody sees it. */
  get inSight() {
    return this.element.checkVisibility();
  }

  /** @param {import("../filter.js").Spread} spread @param {Filter} filter */
  show(spread, filter) {
    for (const [name, section] of this.#sections) section.show(spread[name], filter.asked(name));
  }
}

class Section {
  #name;
  #toggle;
  #all = false;
  #drawn = "";
  #last = /** @type {{counts: Map<string, number>, asked: ReadonlySet<string>} | null} */ (null);
  #count = h("span.note");
  #search = /** @type {HTMLInputElement} */ (
    h("input.search", { type: "search", autocomplete: "off", spellcheck: "false" })
  );
  #values = h("ul");
  #more = h("button.quiet.small", { type: "button", click: () => this.#showAll() });

  /** @param {FacetName} name @param {(value: string) => void} toggle */
  constructor(name, toggle) {
    this.#name = name;
    this.#toggle = toggle;
    const title = FACET_TITLES[name];
    setAttribute(this.#search, "aria-label", `Find a ${title.toLowerCase()}`);
    setAttribute(this.#search, "placeholder", `Find a ${title.toLowerCase()}`);
    this.#search.addEventListener("input", () => this.#draw());
    this.element = h(
      "section.facet",
      null,
      h("h3", { id: `facet-${name}` }, title, " ", this.#count),
      this.#search,
      this.#values,
      this.#more,
    );
    setAttribute(this.#values, "aria-labelledby", `facet-${name}`);
  }

  /** @param {Map<string, number>} counts @param {ReadonlySet<string>} asked */
  show(counts, asked) {
    this.#last = { counts, asked };
    this.#draw();
  }

  #showAll() {
    this.#all = !this.#all;
    this.#draw();
  }

  #draw() {
    if (!this.#last) return;
    const { counts, asked } = this.#last;
    const text = this.#search.value.trim().toLowerCase();
    // What is asked for is shown though nobody has it, so that it can be taken back.
    const all = [...new Set([...asked, ...counts.keys()])]
      .filter((value) => !text || value.toLowerCase().includes(text))
      .map((value) => ({ value, count: counts.get(value) ?? 0 }))
      .sort((a, b) => b.count - a.count || natural(a.value, b.value));
    const first = all.filter(({ value }, at) => at < SHOWN.first || asked.has(value));
    const shown = this.#all || text ? all.slice(0, SHOWN.most) : first;
    show(this.element, counts.size > 0 || asked.size > 0);
    show(this.#search, counts.size > SHOWN.first * 2 || text !== "");
    setText(this.#count, counts.size > SHOWN.first ? number(counts.size) : "");
    const drawn = JSON.stringify([shown, [...asked]]);
    if (drawn !== this.#drawn) {
      this.#drawn = drawn;
      const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.value;
      const most = Math.max(1, ...shown.map(({ count }) => count));
      fill(this.#values, ...shown.map((one) => this.#row(one, asked.has(one.value), most)));
      if (focused !== undefined) this.#refocus(focused);
    }
    const more = all.length - first.length;
    show(this.#more, more > 0 && !text);
    const most = Math.min(all.length, SHOWN.most);
    setText(this.#more, this.#all ? "Show fewer" : `Show ${number(most)}`);
  }

  /** The value that had the focus has it still. @param {string} value */
  #refocus(value) {
    for (const row of this.#values.children) {
      const button = /** @type {HTMLElement} */ (row.firstElementChild);
      if (button.dataset.value === `${value}`) button.focus();
    }
  }

  /** @param {{value: string, count: number}} one @param {boolean} pressed @param {number} most */
  #row({ value, count }, pressed, most) {
    const text = valueText(this.#name, value);
    const bar = h("i.bar", { "aria-hidden": "true" });
    bar.style.width = `${(count / most) * 100}%`;
    return h(
      "li",
      null,
      h(
        "button.value",
        {
          type: "button",
          "data-value": `${this.#name} ${value}`,
          "aria-pressed": pressed ? "true" : "false",
          title: text,
          click: () => this.#toggle(value),
        },
        bar,
        h("span.value-name", null, text),
        h("span.value-count", null, number(count)),
      ),
    );
  }
}
