// The commands that are known, and how far each has come.

import { written } from "./json.js";

/** @typedef {import("./answers.js").CommandView} CommandView */
/** @typedef {import("./answers.js").Counts} Counts */

/**
 * @typedef {object} Command
 * @property {string} commandId
 * @property {string} type
 * @property {import("./answers.js").Target} target
 * @property {string} status
 * @property {string} createdAt
 * @property {string} expiresAt
 * @property {number} targetCount
 * @property {number} connectedCount
 * @property {number} skippedCount
 * @property {Counts} counts
 * @property {number} failed how many of those acknowledged did so with a failure, as far as is known
 * @property {string | null} payload on one line, and perhaps cut; null where it has not been read
 * @property {string | null} issuedBy
 */

/** @typedef {Pick<Command, "status" | "counts" | "failed">} Progress */

/** Commands that are held, besides those that are looked at; the server has more. */
const MOST = 10_000;

/** Commands that are not held, of which it is remembered how far they have come. */
const MOST_HEARD = 1000;

/** Characters of a payload that are held: a row shows fewer, and a search need not look at more. */
const MOST_PAYLOAD = 4096;

export class Issued {
  /** @type {Map<string, Command>} in no order: their ids sort by time */
  commands = new Map();
  /** Ids of commands that are looked at, which are held however old they are. @type {ReadonlySet<string>} */
  pinned = new Set();
  /** @type {Map<string, Progress>} of commands that are not held yet, what the feed has told */
  #heard = new Map();

  clear() {
    this.commands.clear();
    this.#heard.clear();
  }

  /**
   * Take a command as the server had it when it was asked. The feed may have told more meanwhile.
   * @param {CommandView} answer
   */
  put(answer) {
    const known = this.commands.get(answer.commandId);
    const read = commandOf(answer);
    const heard = known ?? this.#heard.get(answer.commandId);
    this.#hold({
      ...read,
      payload: read.payload ?? known?.payload ?? null,
      ...(heard && newer(heard, read)),
    });
  }

  /**
   * Take how many of a command's agents have failed, as its deliveries say it.
   * @param {string} commandId
   * @param {number} failed
   */
  putFailed(commandId, failed) {
    const known = this.commands.get(commandId);
    if (known && failed > known.failed) this.#hold({ ...known, failed });
  }

  /** Take what the feed tells of a command that was issued. @param {any} data */
  issued(data) {
    if (this.commands.has(data.commandId)) return;
    const counts = { PENDING: data.targetCount, ACKNOWLEDGED: 0, EXPIRED: 0 };
    const status = data.targetCount ? "PENDING" : "UNDELIVERABLE";
    const { issuedBy = null } = data;
    this.#hold({ ...data, counts, status, failed: 0, payload: null, issuedBy });
  }

  /** Take what the feed tells of deliveries. @param {any} data */
  changed(data) {
    const { commandId, status, counts, failedCount = 0 } = data;
    const told = { status, counts, failed: failedCount };
    const command = this.commands.get(commandId);
    if (!command) {
      const heard = this.#heard.get(commandId);
      this.#heard.delete(commandId); // so that those that are told of stay longest
      this.#heard.set(commandId, heard ? newer(heard, told) : told);
      if (this.#heard.size > MOST_HEARD) this.#heard.delete([...this.#heard.keys()][0]);
      return;
    }
    const { PENDING } = command.counts;
    if (counts.PENDING >= PENDING && failedCount <= command.failed) return; // told before
    this.#hold({ ...command, ...newer(command, told) });
  }

  /** @param {Command} command */
  #hold(command) {
    this.commands.set(command.commandId, command);
    this.#heard.delete(command.commandId);
    if (this.commands.size > MOST * 1.1 + this.pinned.size) {
      const loose = [...this.commands.keys()].filter((id) => !this.pinned.has(id)).sort();
      for (const id of loose.slice(0, MOST / 10)) this.commands.delete(id);
    }
  }
}

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
 * What a list shows of a command.
 * @param {CommandView} answer
 * @returns {Command}
 */
function commandOf({ skipped, outcomes, payload, payloadTruncated, issuedBy, ...rest }) {
  const text = payload === undefined ? null : written(payload).slice(0, MOST_PAYLOAD);
  return {
    ...rest,
    skippedCount: skipped.length,
    failed: outcomes?.FAILURE ?? 0,
    payload: payloadTruncated && text === null ? "more than 4 KiB" : text,
    issuedBy: issuedBy ?? null,
  };
}
