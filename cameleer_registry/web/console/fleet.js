// The agents that are known, and how many of them are live, stale and dead: in all and in each group.

import { naturalKey } from "./natural.js";

/** @typedef {import("./answers.js").AgentView} AgentView */
/** @typedef {import("./answers.js").Status} Status */

/**
 * @typedef {object} Agent frozen: a change makes another one
 * @property {string} agentId
 * @property {string} name
 * @property {string} group
 * @property {string | null} version
 * @property {Status} status
 * @property {boolean} connected
 * @property {string} statusChangedAt
 * @property {readonly string[]} routes
 * @property {readonly string[]} capabilities their names
 * @property {string} order by which ids sort as people have it
 */

/** @typedef {{LIVE: number, STALE: number, DEAD: number, connected: number}} Totals */

export const STATUSES = /** @type {Status[]} */ (["LIVE", "STALE", "DEAD"]);

/** @returns {Totals} */
const nobody = () => ({ LIVE: 0, STALE: 0, DEAD: 0, connected: 0 });

export class Fleet {
  /** @type {Map<string, Agent>} */
  agents = new Map();
  /** @type {Map<string, Totals>} those that have agents */
  groups = new Map();
  totals = nobody();
  /** Agents that have registered since what they declare was read. @type {Set<string>} */
  undeclared = new Set();
  #lists = new Lists();

  /** Put a list that was read in place of all that is known. @param {AgentView[]} listed */
  replace(listed) {
    this.agents.clear();
    this.groups.clear();
    this.totals = nobody();
    this.undeclared.clear();
    this.#lists = new Lists();
    for (const agent of listed) this.put(agent);
  }

  /** Take an agent as the server has it now. @param {AgentView} answer */
  put({ agentId, name, group, version, status, connected, statusChangedAt, ...declared }) {
    this.undeclared.delete(agentId);
    this.#set({
      ...{ agentId, name, group, version, status, connected, statusChangedAt },
      routes: this.#lists.one(declared.routeIds),
      capabilities: this.#lists.one(Object.keys(declared.capabilities)),
      order: this.agents.get(agentId)?.order ?? naturalKey(agentId),
    });
  }

  /** Take what an agent declares, and nothing else: the rest is known, and newer. @param {AgentView} answer */
  declare({ agentId, routeIds, capabilities }) {
    const routes = this.#lists.one(routeIds);
    const names = this.#lists.one(Object.keys(capabilities));
    const known = this.agents.get(agentId);
    if (known?.routes === routes && known.capabilities === names) return;
    this.alter(agentId, { routes, capabilities: names });
  }

  /** @param {string} agentId @param {Partial<Agent>} change */
  alter(agentId, change) {
    const agent = this.agents.get(agentId);
    if (agent) this.#set({ ...agent, ...change });
  }

  /** @param {string} agentId */
  remove(agentId) {
    const agent = this.agents.get(agentId);
    if (agent) this.#count(agent, -1);
    this.agents.delete(agentId);
    this.undeclared.delete(agentId);
  }

  /** Take what the feed tells of a registration. @param {any} data */
  registered({ agentId, name, group, version, at }) {
    const known = this.agents.get(agentId);
    const statusChangedAt = known?.status === "LIVE" ? known.statusChangedAt : at;
    const { connected = false, routes = [], capabilities = [] } = known ?? {};
    const order = known?.order ?? naturalKey(agentId);
    this.undeclared.add(agentId); // the feed does not say what it declares
    this.#set({
      ...{ agentId, name, group, version, status: "LIVE", connected, statusChangedAt },
      ...{ routes, capabilities, order },
    });
  }

  /** @param {Agent} agent */
  #set(agent) {
    const before = this.agents.get(agent.agentId);
    if (before) this.#count(before, -1);
    this.agents.set(agent.agentId, agent);
    this.#count(agent, 1);
  }

  /** @param {Agent} agent @param {1 | -1} by */
  #count(agent, by) {
    const group = this.groups.get(agent.group) ?? nobody();
    for (const totals of [this.totals, group]) {
      totals[agent.status] += by;
      if (agent.connected) totals.connected += by;
    }
    if (group.LIVE + group.STALE + group.DEAD) this.groups.set(agent.group, group);
    else this.groups.delete(agent.group);
  }
}

/** Lists of names, of which a fleet has few: 10,000 agents stay in memory all day. */
class Lists {
  /** @type {Map<string, readonly string[]>} */
  #known = new Map();

  /** The one list that has these names. @param {string[]} names @returns {readonly string[]} */
  one(names) {
    const key = JSON.stringify(names);
    const known = this.#known.get(key);
    if (known) return known;
    this.#known.set(key, names);
    return names;
  }
}
