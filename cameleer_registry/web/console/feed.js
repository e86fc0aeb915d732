// The operator's event feed: held open, and opened again when it ends, from where it ended.

import { HEADERS, address, problemOf } from "./api.js";
import { learn } from "./clock.js";
import { EventParser } from "./sse.js";

/** Milliseconds without a byte after which a connection is replaced: three keepalives, as they
 * come by default. Where they come less often this costs a request, and loses nothing. */
const SILENCE = 45_000;

/** Milliseconds in which the server must begin to answer. */
const PATIENCE = 10_000;

/** Milliseconds before the second attempt, and at most; and where the server named no time. */
const BACKOFF = { first: 1000, most: 15_000, unnamed: 3000 };

/** @typedef {{id: number, type: string, data: any}} FeedEvent */

/**
 * @typedef {object} Listener
 * @property {(event: FeedEvent) => void} event
 * @property {() => void} open the feed stands: what happens from now on will be told
 * @property {(reason: string) => void} lost it broke, or could not be opened
 */

export class Feed {
  #listener;
  #retry = BACKOFF.unnamed;
  #failures = 0;
  #wake = () => {};
  #cut = () => {};

  /** The last id that was seen; the next connection begins after it. */
  lastId = "";

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  /** Keep a connection open, for ever. */
  async run() {
    for (;;) {
      const reason = await this.#follow();
      if (reason === null) continue; // silent: replaced at once, and nobody needs to know
      this.#listener.lost(reason);
      await this.#pause();
    }
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
   * Hold one connection until it ends; return why, in words, or null where only silence ended it.
   * @returns {Promise<string | null>}
   */
  async #follow() {
    const controller = new AbortController();
    let silent = false;
    const cut = () => {
      silent = true;
      controller.abort();
    };
    let opened = false;
    let watchdog = setTimeout(cut, PATIENCE);
    this.#cut = cut;
    try {
      const sent = Date.now();
      const response = await fetch(address("/events"), {
        headers: { ...HEADERS, Accept: "text/event-stream", "Last-Event-ID": this.lastId },
        signal: controller.signal,
        cache: "no-store",
      });
      learn(response, sent);
      if (!response.ok || !response.body) return (await problemOf(response)).message;
      const parser = new EventParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return "The server ended the connection.";
        clearTimeout(watchdog);
        watchdog = setTimeout(cut, SILENCE);
        const events = parser.push(value);
        this.#retry = parser.retry ?? this.#retry;
        if (!opened) {
          opened = true;
          this.#failures = 0;
          this.#listener.open();
        }
        for (const event of events) {
          if (controller.signal.aborted) return null;
          this.#tell(event);
        }
      }
    } catch {
      return silent && opened ? null : "The server does not answer.";
    } finally {
      clearTimeout(watchdog);
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
