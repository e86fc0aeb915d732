// The commands that the server remembers, read page by page as they are looked at, with what the feed
// tells on top. The server filters by what it knows; what it does not look into, texts and failures,
// is looked for here, page after page, and it is said how far that has come.

import { written } from "./json.js";

/** @typedef {import("./issued.js").Command} Command */

/**
 * @typedef {object} Asked
 * @property {string} state a verdict, "" for any
 * @property {string} type
 * @property {string} group
 * @property {string} agentId
 * @property {string} text
 */

/** Commands on a page. */
const PAGE = 100;

/** Commands of one list that are held. */
const MOST = 10_000;

/** A search goes on by itself until so many are found, or so many more have been looked through. */
const ENOUGH = { found: 50, looked: 2000 };

/** Milliseconds in which news gather before the newest page is read again. */
const SETTLE = 300;

/** The server's status of what has that verdict; failures are none to it. @type {Record<string, string>} */
const STATUSES = {
  PENDING: "PENDING",
  SUCCESS: "ACKNOWLEDGED",
  EXPIRED: "EXPIRED",
  UNDELIVERABLE: "UNDELIVERABLE",
};

/** Whether a command counts as that. @type {Record<string, (command: Command) => boolean>} */
const STATES = {
  PENDING: ({ status }) => status === "PENDING",
  SUCCESS: ({ status, failed }) => status === "ACKNOWLEDGED" && !failed,
  FAILURE: ({ failed }) => failed > 0,
  EXPIRED: ({ status }) => status === "EXPIRED",
  UNDELIVERABLE: ({ status }) => status === "UNDELIVERABLE",
};

export class CommandList {
  #store;
  #actions;
  #changed;
  /** @type {Asked} */
  #asked = { state: "", type: "", group: "", agentId: "", text: "" };
  /** The part of it that the server filters by; null before anything is asked for. */
  #query = /** @type {string | null} */ (null);
  /** The next page; null where there is none. */
  #next = /** @type {string | null} */ (null);
  /** Ids that the server has named for this query, and the smallest of them. @type {Set<string>} */
  #ids = new Set();
  #oldest = "";
  /** Where a search stops by itself. */
  #until = ENOUGH.looked;
  #timer = /** @type {ReturnType<typeof setTimeout> | null} */ (null);

  loading = false;
  /** Why the last page could not be read. */
  error = /** @type {Error | null} */ (null);

  /**
   * @param {import("./store.js").Store} store
   * @param {import("./actions.js").Actions} actions
   * @param {() => void} changed
   */
  constructor(store, actions, changed) {
    this.#store = store;
    this.#actions = actions;
    this.#changed = changed;
  }

  /** Whether the server has no more than what was read. */
  get complete() {
    return this.#query !== null && this.#next === null && !this.loading && !this.error;
  }

  /** Whether the first page is awaited. */
  get reading() {
    return this.loading || (this.#next !== null && this.#ids.size === 0 && !this.error);
  }

  /** Whether it has more than what is held. */
  get full() {
    return this.#next !== null && this.#ids.size >= MOST;
  }

  /** How many the server has named. */
  get looked() {
    return this.#ids.size;
  }

  /** Whether what matches has to be looked for here. */
  get searching() {
    return this.#asked.text !== "" || this.#asked.state === "FAILURE";
  }

  /** @param {Asked} asked */
  ask(asked) {
    this.#asked = asked;
    const { state, type, group, agentId } = asked;
    const query = new URLSearchParams({ limit: String(PAGE) });
    const parts = { status: STATUSES[state] ?? "", type, group, agentId };
    for (const [name, value] of Object.entries(parts)) if (value) query.set(name, value);
    this.#until = this.#ids.size + ENOUGH.looked;
    if (`?${query}` !== this.#query) this.#begin(`?${query}`);
    else this.#search();
  }

  /** Read all anew: what was known is of another time. */
  restart() {
    if (this.#query !== null) this.#begin(this.#query);
  }

  /** The server is there: read what could not be read before. */
  resume() {
    if (this.error) this.further();
    else if (this.#ids.size === 0 || this.searching) void this.#load();
  }

  /** Read the newest page again, in a moment: something has happened. */
  freshen() {
    this.#timer ??= setTimeout(async () => {
      this.#timer = null;
      if (this.#query === null) return;
      const query = this.#query;
      try {
        const { commands } = await this.#actions.readCommands(query);
        if (query === this.#query) this.#take(commands);
      } catch {
        // The feed has told of them, but for their payloads.
      }
      this.#changed();
    }, SETTLE);
  }

  /** Read the next page. */
  more() {
    if (!this.searching && !this.error) void this.#load();
  }

  /** Look further than a search does by itself; or again, where that failed. */
  further() {
    this.#until = this.#ids.size + ENOUGH.looked;
    this.error = null;
    void this.#load();
  }

  /** @param {string} query */
  #begin(query) {
    this.#query = this.#next = query;
    this.#ids = new Set();
    this.#oldest = "";
    this.#until = ENOUGH.looked;
    this.error = null;
    this.loading = false;
    this.#store.pin(this.#ids);
    void this.#load();
  }

  async #load() {
    if (this.loading || this.#next === null || this.full || this.error) return;
    if (this.#store.connection.state !== "live") return; // see resume()
    const [query, page] = [this.#query, this.#next];
    this.loading = true;
    this.#changed();
    try {
      const { commands, next } = await this.#actions.readCommands(page);
      if (query !== this.#query) return; // something else is asked for by now
      this.#take(commands);
      this.#oldest = commands.at(-1)?.commandId ?? this.#oldest;
      this.#next = next;
    } catch (error) {
      if (query !== this.#query) return;
      this.error = /** @type {Error} */ (error);
    }
    this.loading = false;
    this.#changed();
    this.#search();
  }

  /** Look further, if something is looked for and not enough of it has been found. */
  #search() {
    if (!this.searching || this.#ids.size >= this.#until) return;
    if (this.rows().length < ENOUGH.found) void this.#load();
  }

  /** @param {import("./answers.js").CommandView[]} commands */
  #take(commands) {
    for (const { commandId } of commands) this.#ids.add(commandId);
  }

  /** Those that match, newest first, as far as they have been read. */
  rows() {
    const found = [...this.#store.commands.values()].filter(
      (command) => this.#lists(command) && this.#matches(command),
    );
    return found.sort((a, b) => (a.commandId < b.commandId ? 1 : -1)); // ids sort by time
  }

  /** Whether a command is one of this list, as far down as it has been read. @param {Command} command */
  #lists({ commandId, target }) {
    if (this.#ids.has(commandId)) return true;
    const { group, agentId } = this.#asked;
    if (this.#next !== null && commandId < this.#oldest) return false;
    // What the feed tells: whether a command to many reached that agent, only the server knows.
    if (agentId) return target.agentId === agentId;
    return !group || target.group === group;
  }

  /** @param {Command} command */
  #matches(command) {
    const { state, type, text } = this.#asked;
    if (state && !STATES[state]?.(command)) return false;
    if (type && command.type !== type) return false;
    return !text || mentions(command, text);
  }
}

/** @param {Command} command @param {string} text in lower case */
function mentions({ commandId, type, target, payload, issuedBy }, text) {
  return [
    commandId,
    type,
    target.agentId,
    target.group,
    payload,
    issuedBy && written(issuedBy),
  ].some((part) => part && part.toLowerCase().includes(text));
}
