// The operator's event feed: held open, and opened again when it ends, from where it ended.

import { HEADERS, Intercepted, address, isPage, refusalOf } from "./api.js";
import { learn } from "./clock.js";
import { positionHeaders } from "./position.js";
import { EventParser } from "./sse.js";

/** Milliseconds between two keepalives: as they come by default, and as is believed of any server.
 * What the pace really is shows when two have come. */
const PACE = { first: 15_000, least: 1000, most: 120_000 };

/** Milliseconds of silence, by the pace, after which it is told, and the connection is replaced. */
const noticed = (/** @type {number} */ pace) => pace * 1.1 + 1000;
const given = (/** @type {number} */ pace) => pace * 1.2 + 2000;

/** Milliseconds in which the server must begin to answer. */
const PATIENCE = 6000;

/** Milliseconds for which a connection is not replaced because of a doubt. */
const TRUSTED = 10_000;

/** Milliseconds before the second attempt, and at most; and where the server named no time. */
const BACKOFF = { first: 1000, most: 15_000, unnamed: 3000 };

/** @typedef {{id: number, type: string, data: any}} FeedEvent */

/**
 * @typedef {object} Listener
 * @property {(event: FeedEvent) => void} event
 * @property {() => void} open the feed stands: what happens from now on will be told
 * @property {(reason: string, reload: boolean) => void} lost it broke, or could not be opened; and
 *   whether only loading the page again can help
 * @property {(since: number | null) => void} silent nothing has come since then, or something has again
 */

export class Feed {
  #listener;
  #retry = BACKOFF.unnamed;
  #failures = 0;
  #wake = () => {};
  #cut = () => {};
  #pace = PACE.first;
  /** When something came last, and when the connection that stands was opened; 0 where none does. */
  #heard = 0;
  #standsSince = 0;
  /** Ends the sleep; null while it is awake. */
  #rise = /** @type {(() => void) | null} */ (null);
  #slept = Promise.resolve();

  /** The last id that was seen; the next connection begins after it. */
  lastId = "";

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  /** Keep a connection open, for ever. */
  async run() {
    for (;;) {
      await this.#slept;
      const reason = await this.#follow();
      if (reason === null) continue; // replaced at once, and nobody needs to know
      this.#listener.lost(reason.message, reason instanceof Intercepted);
      await this.#pause();
    }
  }

  /** Hold no connection until `rise` is called. */
  sleep() {
    if (this.#rise) return;
    this.#slept = new Promise((resolve) => (this.#rise = resolve));
    this.#cut();
    this.#wake();
  }

  /** Go on where it was when it fell asleep. */
  rise() {
    this.#rise?.();
    this.#rise = null;
  }

  /** A request that left then has found no answer: see whether the server is there at all.
   * @param {number} sent in milliseconds since 1970 */
  doubt(sent) {
    const trusted = Date.now() - this.#standsSince < TRUSTED;
    if (this.#standsSince && this.#heard < sent && !trusted) this.#cut();
  }

  /** Try again now, where it is waiting. */
  hurry() {
    this.#wake();
  }

  /** End the present connection, and begin another one after that event. @param {number} id */
  restart(id) {
    this.lastId = String(id);
    this.#cut();
  }

  /**
   * Hold one connection until it ends; return why, or null where it was ended from here.
   * @returns {Promise<Error | null>}
   */
  async #follow() {
    const controller = new AbortController();
    let ended = false;
    const end = () => {
      ended = true;
      controller.abort();
    };
    this.#cut = end;
    let watchdog = setTimeout(() => controller.abort(), PATIENCE);
    let notice = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
    try {
      const sent = Date.now();
      const response = await fetch(address("/events"), {
        headers: {
          ...HEADERS,
          ...positionHeaders(),
          Accept: "text/event-stream",
          "Last-Event-ID": this.lastId,
        },
        signal: controller.signal,
        cache: "no-store",
        redirect: "manual", // the registry sends no one elsewhere
      });
      learn(response, sent);
      if (!response.ok || !response.body) {
        const refusal = await refusalOf(response);
        return ended ? null : refusal;
      }
      if (isPage(response)) return new Intercepted("with a page");
      const parser = new EventParser();
      const pace = new Pace();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return new Error("The server ended the connection.");
        const events = parser.push(value);
        this.#retry = parser.retry ?? this.#retry;
        this.#pace = pace.after(parser.comments, this.#pace);
        const heard = Date.now();
        this.#heard = heard;
        clearTimeout(watchdog);
        clearTimeout(notice);
        notice = setTimeout(() => this.#listener.silent(heard), noticed(this.#pace));
        watchdog = setTimeout(() => {
          // Perhaps they come less often: if the server is there, there is more patience next time.
          this.#pace = Math.min(this.#pace * 2, PACE.most);
          end();
        }, given(this.#pace));
        this.#listener.silent(null);
        if (!this.#standsSince) {
          this.#standsSince = heard;
          this.#failures = 0;
          this.#listener.open();
        }
        for (const event of events) {
          if (controller.signal.aborted) return null;
          this.#tell(event);
        }
      }
    } catch {
      return ended ? null : new Error("The server does not answer.");
    } finally {
      this.#standsSince = 0;
      this.#cut = () => {};
      clearTimeout(watchdog);
      clearTimeout(notice);
      controller.abort();
    }
  }

  /** @param {import("./sse.js").ServerEvent} event */
  #tell(event) {
    if (event.id !== null) this.lastId = event.id;
    try {
      const { id, type, data } = event;
      this.#listener.event({ id: Number(id), type, data: JSON.parse(data) });
    } catch (error) {
      reportError(error); // a fault of this page is no fault of the connection
    }
  }

  /** Wait as long as the server asked, which is another time for each client; then longer. */
  async #pause() {
    const backoff = Math.min(BACKOFF.first * 2 ** this.#failures, BACKOFF.most);
    const wait = this.#failures === 0 ? this.#retry : backoff * (0.5 + Math.random());
    this.#failures += 1;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
    this.#wake = () => {};
  }
}

/** The time between two keepalives of one connection. */
class Pace {
  #comments = 0;
  #last = 0;

  /**
   * @param {number} comments how many have come
   * @param {number} known
   * @returns {number} in milliseconds; no more than what was known, since some are left out
   */
  after(comments, known) {
    if (comments === this.#comments) return known;
    const now = Date.now();
    const between = now - this.#last;
    const first = this.#comments === 0;
    this.#comments = comments;
    this.#last = now;
    return first ? known : Math.max(PACE.least, Math.min(between, known));
  }
}
