// What is known of the fleet: the lists, with the events of the feed applied on top. Views read it
// and never write to it; they are told once a frame what has changed.

import { Timeline } from "./timeline.js";

/** @typedef {"LIVE" | "STALE" | "DEAD"} Status */

/**
 * @typedef {object} Agent frozen: a change makes another one
 * @property {string} agentId
 * @property {string} name
 * @property {string} group
 * @property {string | null} version
 * @property {Status} status
 * @property {boolean} connected
 * @property {string} statusChangedAt
 */

/** @typedef {{LIVE: number, STALE: number, DEAD: number, connected: number}} Totals */

/** @typedef {{PENDING: number, ACKNOWLEDGED: number, EXPIRED: number}} Counts */

/**
 * @typedef {object} Command
 * @property {string} commandId
 * @property {string} type
 * @property {import("./api.js").Target} target
 * @property {string} status
 * @property {string} createdAt
 * @property {string} expiresAt
 * @property {number} targetCount
 * @property {number} connectedCount
 * @property {number} skippedCount
 * @property {Counts} counts
 * @property {number} failed how many of those acknowledged did so with a failure, as far as is known
 */

/**
 * @typedef {object} Connection
 * @property {"connecting" | "live" | "paused" | "lost"} state
 * @property {number} since in milliseconds since 1970
 * @property {string} reason
 * @property {boolean} loaded whether the lists have been read
 * @property {number | null} silent since when nothing has come, where that is noticeable
 */

/** @typedef {{topics: Set<string>, facts: import("./feed.js").FeedEvent[]}} Change */

export const STATUSES = /** @type {Status[]} */ (["LIVE", "STALE", "DEAD"]);

/** Commands that are remembered here; the server remembers more. */
const MOST_COMMANDS = 500;

/** @returns {Totals} */
const nobody = () => ({ LIVE: 0, STALE: 0, DEAD: 0, connected: 0 });

export class Store {
  /** @type {Map<string, Agent>} */
  agents = new Map();
  /** @type {Map<string, Totals>} those that have agents */
  groups = new Map();
  totals = nobody();
  /** @type {Map<string, Command>} in order of issue */
  commands = new Map();
  timeline = new Timeline();
  /** @type {Connection} */
  connection = { state: "connecting", since: Date.now(), reason: "", loaded: false, silent: null };

  /** @type {((change: Change) => void)[]} */
  #listeners = [];
  /** @type {Change} */
  #change = { topics: new Set(), facts: [] };
  #scheduled = false;

  /**
   * Be told of changes: at most once a frame, and once a second while nobody looks.
   * @param {(change: Change) => void} listener
   */
  subscribe(listener) {
    this.#listeners.push(listener);
  }

  /**
   * Put a list that was read in place of all that is known of agents.
   * @param {any[]} listed
   */
  replaceAgents(listed) {
    this.agents.clear();
    this.groups.clear();
    this.totals = nobody();
    for (const agent of listed) this.#put(pick(agent));
    this.#touch("agents");
  }

  /** Forget what came from a feed that is no more. */
  forgetHistory() {
    this.commands.clear();
    this.timeline.clear();
    this.#touch("commands", "timeline");
  }

  /**
   * Take a command as the server had it when it was asked. The feed may have told more meanwhile.
   * @param {any} answer
   * @param {number} [failed] where the deliveries have been counted
   */
  putCommand(answer, failed = 0) {
    const known = this.commands.get(answer.commandId);
    const read = { ...answer, skippedCount: answer.skipped.length, failed };
    this.#remember(known ? { ...read, ...newer(known, read) } : read);
  }

  /**
   * Take an agent as the server has it now.
   * @param {any} answer
   */
  putAgent(answer) {
    this.#put(pick(answer));
    this.#touch("agents");
  }

  /** @param {string} agentId */
  removeAgent(agentId) {
    const agent = this.agents.get(agentId);
    if (!agent) return;
    this.#count(agent, -1);
    this.agents.delete(agentId);
    this.#touch("agents");
  }

  /** @param {Partial<Connection>} change */
  setConnection(change) {
    const before = this.connection;
    const since = change.state && change.state !== before.state ? Date.now() : before.since;
    this.connection = { ...before, ...change, since };
    this.#touch("connection");
  }

  /** @param {import("./feed.js").FeedEvent} event */
  apply(event) {
    const apply = FACTS[event.type];
    if (!apply) return; // of a newer server
    apply(this, event.data);
    this.timeline.add(event);
    this.#change.facts.push(event);
    this.#touch("timeline");
  }

  // What the facts below are made of

  /** @param {string} agentId @param {Partial<Agent>} change */
  alter(agentId, change) {
    const agent = this.agents.get(agentId);
    if (agent) this.#put({ ...agent, ...change });
    this.#touch("agents");
  }

  /** @param {Agent} agent */
  #put(agent) {
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

  /** @param {any} data */
  registered(data) {
    const { agentId, name, group, version, at } = data;
    const known = this.agents.get(agentId);
    const statusChangedAt = known?.status === "LIVE" ? known.statusChangedAt : at;
    const connected = known?.connected ?? false;
    this.#put({ agentId, name, group, version, status: "LIVE", connected, statusChangedAt });
    this.#touch("agents");
  }

  /** @param {any} data */
  issued(data) {
    const counts = { PENDING: data.targetCount, ACKNOWLEDGED: 0, EXPIRED: 0 };
    const status = data.targetCount ? "PENDING" : "UNDELIVERABLE";
    if (!this.commands.has(data.commandId)) {
      this.#remember({ ...data, counts, status, failed: 0 });
    }
  }

  /** @param {any} data */
  changed(data) {
    const command = this.commands.get(data.commandId);
    if (!command) return;
    const { status, counts, failedCount = 0 } = data;
    const { PENDING } = command.counts;
    if (counts.PENDING >= PENDING && failedCount <= command.failed) return; // told before
    this.#remember({ ...command, ...newer(command, { status, counts, failed: failedCount }) });
  }

  /** @param {Command} command */
  #remember(command) {
    this.commands.set(command.commandId, command);
    if (this.commands.size > MOST_COMMANDS) {
      const [oldest] = this.commands.keys();
      this.commands.delete(oldest);
    }
    this.#touch("commands");
  }

  /** @param {...string} topics */
  #touch(...topics) {
    for (const topic of topics) this.#change.topics.add(topic);
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Frames do not come while the page is hidden; its title should be right all the same.
    requestAnimationFrame(() => this.#tell());
    setTimeout(() => this.#tell(), 1000);
  }

  #tell() {
    if (!this.#scheduled) return;
    const change = this.#change;
    this.#change = { topics: new Set(), facts: [] };
    this.#scheduled = false;
    for (const listener of this.#listeners) listener(change);
  }
}

/**
 * What each event says of the fleet. All are facts that may be told twice.
 * @type {Record<string, (store: Store, data: any) => void>}
 */
const FACTS = {
  "agent-registered": (store, data) => store.registered(data),
  "agent-status": (store, { agentId, to, at }) =>
    store.alter(agentId, { status: to, statusChangedAt: at }),
  "agent-removed": (store, { agentId }) => store.removeAgent(agentId),
  "stream-opened": (store, { agentId }) => store.alter(agentId, { connected: true }),
  "stream-closed": (store, { agentId, reason }) => {
    if (reason !== "replaced") store.alter(agentId, { connected: false });
  },
  "stream-conflict": () => {},
  "command-issued": (store, data) => store.issued(data),
  "delivery-acknowledged": (store, data) => store.changed(data),
  "delivery-expired": (store, data) => store.changed(data),
};

/** @typedef {Pick<Command, "status" | "counts" | "failed">} Progress */

/**
 * Return how far a command has come, of two reports whose order is not known. What is settled stays
 * settled: the one with less pending is newer, and of failures there are never fewer.
 * @param {Progress} one
 * @param {Progress} other
 * @returns {Progress}
 */
function newer(one, other) {
  const { status, counts } = other.counts.PENDING < one.counts.PENDING ? other : one;
  return { status, counts, failed: Math.max(one.failed, other.failed) };
}

/**
 * Keep of a listed agent what the lists show: 10,000 of them stay in memory all day.
 * @param {any} agent
 * @returns {Agent}
 */
function pick({ agentId, name, group, version, status, connected, statusChangedAt }) {
  return { agentId, name, group, version, status, connected, statusChangedAt };
}
