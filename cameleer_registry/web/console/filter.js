// Which agents are asked for, and how those that match are spread: over versions, routes and
// capabilities. What is asked for is a part of the page's address, and this reads it.

import { STATUSES } from "./fleet.js";

/** @typedef {import("./fleet.js").Agent} Agent */

/** @typedef {"version" | "route" | "capability" | "stream"} FacetName */

/** What an agent has of each facet. @type {Record<FacetName, (agent: Agent) => readonly string[]>} */
const FACETS = {
  version: ({ version }) => [version ?? ""],
  route: ({ routes }) => routes,
  capability: ({ capabilities }) => capabilities,
  stream: ({ connected }) => [connected ? "open" : "closed"],
};

export const FACET_NAMES = /** @type {FacetName[]} */ (Object.keys(FACETS));

/** Parts of the query that a filter is made of. */
export const PARTS = ["q", "status", "group", ...FACET_NAMES];

/** @typedef {Record<FacetName, Map<string, number>>} Spread how many agents have each value */

export class Filter {
  #text;
  #asked;

  /** @param {URLSearchParams} query */
  constructor(query) {
    this.#text = (query.get("q") ?? "").trim().toLowerCase();
    this.group = query.get("group") ?? "";
    const statuses = (query.get("status") ?? "").toUpperCase().split(",");
    this.statuses = STATUSES.filter((status) => statuses.includes(status));
    this.#asked = FACET_NAMES.map((name) => ({ name, values: new Set(query.getAll(name)) }));
    this.any = PARTS.some((part) => query.getAll(part).some(Boolean) || query.has("version", ""));
  }

  /** What is asked for of a facet: any of it will do. @param {FacetName} name @returns {ReadonlySet<string>} */
  asked(name) {
    return this.#asked.find((one) => one.name === name)?.values ?? new Set();
  }

  /**
   * Return those that match, and how they are spread where that is wanted. A facet counts those that
   * match all but itself: so it says what choosing another value of it would give.
   * @param {Iterable<Agent>} agents
   * @param {boolean} spreading
   * @returns {{found: Agent[], spread: Spread}}
   */
  apply(agents, spreading) {
    /** @type {Agent[]} */
    const found = [];
    const spread = /** @type {Spread} */ (
      Object.fromEntries(FACET_NAMES.map((name) => [name, new Map()]))
    );
    const asked = this.#asked.filter(({ values }) => values.size);
    for (const agent of agents) {
      if (!this.#matches(agent)) continue;
      const missed = asked.filter(({ name, values }) => !FACETS[name](agent).some(in_(values)));
      if (!missed.length) found.push(agent);
      if (!spreading || missed.length > 1) continue;
      for (const name of missed.length ? [missed[0].name] : FACET_NAMES) {
        const counts = spread[name];
        for (const value of FACETS[name](agent)) counts.set(value, (counts.get(value) ?? 0) + 1);
      }
    }
    return { found, spread };
  }

  /** Whether an agent matches all but the facets. @param {Agent} agent */
  #matches(agent) {
    return (
      (!this.statuses.length || this.statuses.includes(agent.status)) &&
      (!this.group || agent.group === this.group) &&
      (!this.#text || mentions(agent, this.#text))
    );
  }
}

/** @param {ReadonlySet<string>} values */
const in_ = (values) => (/** @type {string} */ value) => values.has(value);

/** @param {Agent} agent @param {string} text in lower case */
function mentions({ agentId, name, version, group, routes, capabilities }, text) {
  const has = (/** @type {string} */ part) => part.toLowerCase().includes(text);
  return (
    has(agentId) ||
    has(name) ||
    has(group) ||
    (version !== null && has(version)) ||
    routes.some(has) ||
    capabilities.some(has)
  );
}
