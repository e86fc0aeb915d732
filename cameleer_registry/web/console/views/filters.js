// The line above the table of agents: what is asked for, how many match, and taking it back.

import { fill, h, setAttribute, setText, show } from "../dom.js";
import { FACET_NAMES, PARTS } from "../filter.js";
import { counted, number } from "../format.js";
import { natural } from "../natural.js";
import { FACET_TITLES, valueText } from "./facets.js";
import { exportMenu } from "./menu.js";
import { searchField } from "./parts.js";

/** @typedef {(query: URLSearchParams) => void} Mutation */

/**
 * Put a value of a facet into a query, or take it out.
 * @param {import("../filter.js").FacetName} name
 * @param {string} value
 * @returns {Mutation}
 */
export const toggled = (name, value) => (query) => {
  if (query.has(name, value)) query.delete(name, value);
  else query.append(name, value);
};

/** Set a part of a query; an empty one is left out. @param {string} name @param {string} value @returns {Mutation} */
export const changed = (name, value) => (query) => {
  if (value) query.set(name, value);
  else query.delete(name);
};

export class Filters {
  #change;
  #search;
  #groups;
  #groupNames = "";
  #sum = h("p.sum");
  #facets;
  #clear;
  #asked = h("div.asked", { role: "group", "aria-label": "Facets that are chosen" });

  /**
   * @param {object} acts
   * @param {(mutation: Mutation) => void} acts.change
   * @param {() => void} acts.facets shows or hides them
   * @param {(format: import("../download.js").Format) => void} acts.save
   */
  constructor({ change, facets, save }) {
    this.#change = change;
    this.#search = searchField("Filter by id, name, version, group, route or capability", {
      input: () => change(changed("q", this.#search.value)),
    });
    this.#groups = /** @type {HTMLSelectElement} */ (
      h("select", {
        "aria-label": "Group",
        change: () => change(changed("group", this.#groups.value)),
      })
    );
    this.#facets = h(
      "button.quiet.facets-button",
      { type: "button", "aria-controls": "facets", click: facets },
      "Facets",
    );
    this.#clear = h(
      "button.quiet",
      { type: "button", click: () => this.#clearAll() },
      "Clear filters",
    );
    this.element = h(
      "div.filters",
      null,
      this.#search,
      this.#groups,
      this.#facets,
      this.#sum,
      this.#clear,
      exportMenu(save),
      this.#asked,
    );
  }

  /** Take over what an address asks for. @param {URLSearchParams} query */
  take(query) {
    if (document.activeElement !== this.#search) this.#search.value = query.get("q") ?? "";
  }

  /** @param {boolean} inSight whether the facets are */
  facets(inSight) {
    setAttribute(this.#facets, "aria-expanded", inSight ? "true" : "false");
  }

  /** Go to the button that shows the facets. */
  focusFacets() {
    this.#facets.focus();
  }

  /** In words, how many match. */
  get sum() {
    return this.#sum.textContent ?? "";
  }

  /**
   * @param {import("../filter.js").Filter} filter
   * @param {number} found
   * @param {number} whole
   * @param {Iterable<string>} groups
   */
  show(filter, found, whole, groups) {
    const all = found === whole;
    setText(this.#sum, all ? counted(whole, "agent") : `${number(found)} of ${number(whole)}`);
    show(this.#clear, filter.any);
    this.#showAsked(filter);
    this.#showGroups(filter.group, [...groups].sort(natural));
  }

  #clearAll() {
    this.#search.value = "";
    this.#change((query) => PARTS.forEach((name) => query.delete(name)));
    this.#search.focus();
  }

  /** The facets that are asked for, each of which can be taken back here. @param {import("../filter.js").Filter} filter */
  #showAsked(filter) {
    const asked = FACET_NAMES.flatMap((name) =>
      [...filter.asked(name)].map((value) => ({ name, value })),
    );
    const drawn = JSON.stringify(asked);
    show(this.#asked, asked.length > 0);
    if (this.#asked.dataset.drawn === drawn) return;
    this.#asked.dataset.drawn = drawn;
    fill(
      this.#asked,
      ...asked.map(({ name, value }) => {
        const text = `${FACET_TITLES[name]}: ${valueText(name, value)}`;
        return h(
          "button.chip",
          {
            type: "button",
            title: text,
            "aria-label": `Take back ${text}`,
            click: () => this.#change(toggled(name, value)),
          },
          h("span", null, text),
          "×",
        );
      }),
    );
  }

  /** @param {string} chosen @param {string[]} names */
  #showGroups(chosen, names) {
    if (chosen && !names.includes(chosen)) names.unshift(chosen);
    const joined = names.join("\n");
    if (joined !== this.#groupNames || !this.#groups.options.length) {
      this.#groupNames = joined;
      const choices = names.map((name) => h("option", { value: name }, name));
      this.#groups.replaceChildren(h("option", { value: "" }, "All groups"), ...choices);
    }
    this.#groups.value = chosen;
  }
}
