// What happened, newest first. Things of one kind that happen together make one entry: a fleet of
// thousands that comes back after a restart is one line, and not thousands.
//
// An entry stands at the time of its newest event, which is the time that it shows, and moves up when
// it is joined. It counts events as events and agents as agents: one that registers again a hundred
// times is one agent.

/**
 * @typedef {object} Entry a change makes another one, with the same id and the same map
 * @property {number} id of the first event in it
 * @property {string} type
 * @property {string} kind what it shares with others that would join it
 * @property {string} at of the newest event in it
 * @property {string} since of the oldest event in it
 * @property {any} data of the first event in it
 * @property {string | null} group where all of them are of one
 * @property {Map<string, Mention>} agents those it is about
 * @property {number} count how many events are in it, or deliveries
 * @property {number} failures
 */

/** @typedef {{at: string, times: number, note: string, failed: boolean}} Mention */

/** Entries, and mentions of agents in them, that are kept. */
const MOST = { entries: 10_000, mentions: 200_000 };

/** Milliseconds within which things happen together, and that an entry spans at most. */
const TOGETHER = 2000;
const LONGEST = 60_000;

/** Entries among which one is looked for that could be joined: several kinds happen at once. */
const NEAR = 8;

export class Timeline {
  /** @type {Entry[]} oldest first */
  #entries = [];
  #mentions = 0;

  /** The entries, newest first. */
  newest() {
    return this.#entries.toReversed();
  }

  get size() {
    return this.#entries.length;
  }

  /** @param {number} id of the first event in it */
  find(id) {
    return this.#entries.find((entry) => entry.id === id) ?? null;
  }

  clear() {
    this.#entries = [];
    this.#mentions = 0;
  }

  /** @param {import("./feed.js").FeedEvent} event */
  add({ id, type, data }) {
    const kind = kindOf(type, data);
    const index = this.#joinable(kind, data.at);
    const [before] = index < 0 ? [] : this.#entries.splice(index, 1);
    const agents = before?.agents ?? new Map();
    this.#mentions -= agents.size;
    mention(agents, data);
    this.#mentions += agents.size;
    const { at, group = null } = data;
    const count = data.agentIds?.length ?? 1;
    const failures = data.failures?.length ?? 0;
    this.#place(
      before
        ? {
            ...before,
            at: at > before.at ? at : before.at,
            since: at < before.since ? at : before.since,
            group: before.group === group ? group : null,
            count: before.count + count,
            failures: before.failures + failures,
          }
        : { id, type, kind, at, since: at, data, group, agents, count, failures },
    );
    this.#bound();
  }

  /** Put an entry where its time belongs: mostly at the end. @param {Entry} entry */
  #place(entry) {
    let place = this.#entries.length;
    while (place > 0 && this.#entries[place - 1].at > entry.at) place -= 1;
    this.#entries.splice(place, 0, entry);
  }

  /** Drop the oldest, and no more of them than it takes. */
  #bound() {
    while (
      this.#entries.length > 1 &&
      (this.#entries.length > MOST.entries || this.#mentions > MOST.mentions)
    ) {
      const [oldest] = this.#entries.splice(0, 1);
      this.#mentions -= oldest.agents.size;
    }
  }

  /** @param {string} kind @param {string} at */
  #joinable(kind, at) {
    const last = this.#entries.length - 1;
    const moment = Date.parse(at);
    for (let index = last; index >= 0 && index > last - NEAR; index--) {
      const entry = this.#entries[index];
      if (entry.kind !== kind) continue;
      const together = Math.abs(moment - Date.parse(entry.at)) <= TOGETHER;
      return together && moment - Date.parse(entry.since) <= LONGEST ? index : -1;
    }
    return -1;
  }
}

/**
 * Note the agents that an event is about.
 * @param {Map<string, Mention>} agents
 * @param {any} data
 */
function mention(agents, data) {
  const { at } = data;
  const failed = new Map(
    (data.failures ?? []).map((/** @type {any} */ one) => [one.agentId, one.message ?? ""]),
  );
  for (const agentId of data.agentIds ?? (data.agentId ? [data.agentId] : [])) {
    const times = (agents.get(agentId)?.times ?? 0) + 1;
    const note = failed.get(agentId) ?? "";
    agents.set(agentId, { at, times, note, failed: failed.has(agentId) });
  }
}

/** @param {string} type @param {any} data */
function kindOf(type, data) {
  const { commandId, from, to, reason, resumed } = data;
  if (commandId) return `${type} ${commandId} ${reason ?? ""}`;
  return [type, from, to, reason, resumed].join(" ");
}
