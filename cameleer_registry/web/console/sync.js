// From the server into the store: the feed first, then the lists, then the feed on top of them. So
// nothing is missed between the two, and what is told twice does no harm.

import { allAgents, whenInDoubt } from "./api.js";
import { Feed } from "./feed.js";

/** Milliseconds before the lists are asked for again. */
const AGAIN = 2000;

/** Milliseconds for which a page that is hidden still holds its connection: a browser has six to one
 * host, which all of its tabs share. */
const HIDDEN = 5000;

/** An id that no server knows: the answer to it is a reset, which says how far back it remembers. */
const UNKNOWN = "0";

export class Sync {
  #store;
  #feed;
  /** @type {import("./feed.js").FeedEvent[] | null} events that wait for the lists; null where none is awaited */
  #waiting = [];
  #reading = false;
  #hiding = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
  #open = false;

  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.#store = store;
    this.#feed = new Feed({
      open: () => this.#opened(),
      lost: (reason) => this.#lost(reason),
      event: (event) => this.#take(event),
      silent: (since) => this.#silent(since),
    });
  }

  start() {
    this.#feed.lastId = UNKNOWN;
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => this.#seen());
    this.#seen();
    whenInDoubt((sent) => this.#feed.doubt(sent));
    void this.#feed.run();
  }

  /** Try to reach the server now. */
  hurry() {
    this.#feed.hurry();
  }

  /** Let go of the feed while nobody looks, and take it up again. */
  #seen() {
    clearTimeout(this.#hiding);
    if (document.hidden) {
      this.#hiding = setTimeout(() => {
        this.#open = false;
        this.#feed.sleep();
        this.#store.setConnection({ state: "paused", reason: "It goes on when it is seen." });
      }, HIDDEN);
      return;
    }
    if (this.#store.connection.state === "paused") {
      this.#store.setConnection({ state: "connecting", reason: "" });
    }
    this.#feed.rise();
    this.hurry();
  }

  /** @param {number | null} since */
  #silent(since) {
    if (this.#store.connection.silent !== since) this.#store.setConnection({ silent: since });
  }

  #opened() {
    this.#open = true;
    if (this.#feed.lastId === UNKNOWN) return; // a reset follows
    if (this.#waiting) void this.#readLists();
    else this.#stands();
  }

  #stands() {
    if (this.#open) this.#store.setConnection({ state: "live", reason: "", loaded: true });
  }

  /** @param {string} reason */
  #lost(reason) {
    this.#open = false;
    this.#store.setConnection({ state: "lost", reason });
  }

  /** @param {import("./feed.js").FeedEvent} event */
  #take(event) {
    if (event.type === "reset") {
      // All that is known is of another time. What happened lately is told first, and the lists
      // are read when the feed stands again.
      this.#store.forgetHistory();
      this.#waiting = [];
      this.#feed.restart(pastOf(event));
    } else if (this.#waiting) {
      this.#waiting.push(event);
    } else {
      this.#store.apply(event);
    }
  }

  async #readLists() {
    if (this.#reading) return;
    this.#reading = true;
    try {
      // A reset while the lists are read makes them old before they are used.
      for (let asked = null; asked !== this.#waiting;) {
        asked = this.#waiting;
        const agents = await allAgents();
        if (asked === this.#waiting) this.#store.replaceAgents(agents);
      }
      for (const event of this.#waiting ?? []) this.#store.apply(event);
      this.#waiting = null;
      this.#stands();
    } catch (error) {
      if (!this.#open) return; // it is read when the feed stands again
      this.#store.setConnection({ state: "lost", reason: /** @type {Error} */ (error).message });
      setTimeout(
        () => this.#open && this.#waiting && this.#readLists(),
        AGAIN * (0.5 + Math.random()),
      );
    } finally {
      this.#reading = false;
    }
  }
}

/**
 * The event behind which the past is told, so that the page knows what happened before it opened.
 * Not quite the oldest that the server has: that one may be gone when it is asked for.
 * @param {import("./feed.js").FeedEvent} reset
 */
function pastOf({ id, data }) {
  const kept = id - data.oldestId + 1;
  return data.oldestId - 1 + Math.floor(kept / 20);
}
