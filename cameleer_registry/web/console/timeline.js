// What happened, newest first. Things of one kind that happen together make one entry: a fleet of
// thousands that comes back after a restart is one line, and not thousands.

/**
 * @typedef {object} Entry frozen: a change makes another one
 * @property {number} id of the first event in it
 * @property {string} type
 * @property {string} kind what it shares with others that would join it
 * @property {string} at of the newest event in it
 * @property {any} data of the first event in it
 * @property {string | null} group where all of them are of one
 * @property {string[]} agentIds the first few of those it is about
 * @property {number} count how many events are in it, or deliveries
 * @property {number} failures
 */

/** Entries that are kept. */
const MOST = 2000;

/** Agents whose names are kept of an entry. */
const NAMED = 5;

/** Milliseconds within which things happen together. */
const TOGETHER = 2000;

/** Entries among which one is looked for that could be joined: several kinds happen at once. */
const NEAR = 6;

export class Timeline {
  /** @type {Entry[]} oldest first */
  #entries = [];

  /** The entries, newest first. */
  newest() {
    return this.#entries.toReversed();
  }

  clear() {
    this.#entries = [];
  }

  /** @param {import("./feed.js").FeedEvent} event */
  add({ id, type, data }) {
    const kind = kindOf(type, data);
    const agentIds = data.agentIds ?? (data.agentId ? [data.agentId] : []);
    const count = data.agentIds?.length ?? 1;
    const failures = data.failures?.length ?? 0;
    const index = this.#joinable(kind, data.at);
    if (index < 0) {
      const named = agentIds.slice(0, NAMED);
      const { at, group = null } = data;
      this.#entries.push({ id, type, kind, at, data, group, agentIds: named, count, failures });
      if (this.#entries.length > MOST) this.#entries.splice(0, MOST / 10);
      return;
    }
    const entry = this.#entries[index];
    this.#entries[index] = {
      ...entry,
      at: data.at,
      group: entry.group === data.group ? entry.group : null,
      agentIds: [...entry.agentIds, ...agentIds].slice(0, NAMED),
      count: entry.count + count,
      failures: entry.failures + failures,
    };
  }

  /** @param {string} kind @param {string} at */
  #joinable(kind, at) {
    const last = this.#entries.length - 1;
    for (let index = last; index >= 0 && index > last - NEAR; index--) {
      const entry = this.#entries[index];
      if (entry.kind === kind) {
        return Math.abs(Date.parse(at) - Date.parse(entry.at)) <= TOGETHER ? index : -1;
      }
    }
    return -1;
  }
}

/** @param {string} type @param {any} data */
function kindOf(type, data) {
  const { commandId, from, to, reason, resumed } = data;
  if (commandId) return `${type} ${commandId} ${reason ?? ""}`;
  return [type, from, to, reason, resumed].join(" ");
}
