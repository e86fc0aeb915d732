// From the server into the store: the feed first, then the lists, then the feed on top of them. So
// nothing is missed between the two, and what is told twice does no harm.

import { Intercepted, allAgents, whenInDoubt } from "./api.js";
import { Declarations } from "./declarations.js";
import { Feed } from "./feed.js";
import { ServerWatch } from "./server.js";

/** Milliseconds before the lists are asked for again. */
const AGAIN = 2000;

/** Milliseconds for which a page that is hidden still holds its connection: a browser has six to one
 * host, which all of its tabs share. */
const HIDDEN = 5000;

/** An id that no server knows: the answer to it is a reset, which says how far back it remembers. */
const UNKNOWN = "0";

/** How often the past is asked for, before what comes from now on has to do. */
const TRIES = 5;

export class Sync {
  #store;
  #session;
  #feed;
  #declarations;
  server;
  #past = new Past();
  /** @type {import("./feed.js").FeedEvent[] | null} events that wait for the lists; null where none is awaited */
  #waiting = [];
  /** The newest event that there was when the server was asked for the past. */
  #newest = 0;
  #reading = false;
  #hiding = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
  #open = false;
  /** Whether somebody has to sign in first. */
  #shut = false;

  /**
   * @param {import("./store.js").Store} store
   * @param {import("./session.js").Session} session
   */
  constructor(store, session) {
    this.#store = store;
    this.#session = session;
    this.#declarations = new Declarations(store);
    this.server = new ServerWatch(store);
    this.#feed = new Feed({
      open: () => this.#opened(),
      lost: (reason, reload) => this.#lost(reason, reload),
      event: (event) => this.#take(event),
      silent: (since) => this.#silent(since),
    });
    session.closed = () => this.#closed();
    session.opened = (same) => this.#reopened(same);
  }

  async start() {
    this.#feed.lastId = UNKNOWN;
    addEventListener("online", () => this.hurry());
    await this.#session.start();
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
    if (this.#shut) return;
    if (document.hidden) {
      this.#hiding = setTimeout(() => {
        this.#open = false;
        this.#feed.sleep();
        this.#store.setConnection({ state: "paused", reason: "It goes on when it is seen." });
      }, HIDDEN);
      return;
    }
    this.#awake();
  }

  #awake() {
    if (this.#store.connection.state === "paused") {
      this.#store.setConnection({ state: "connecting", reason: "" });
    }
    this.#feed.rise();
    this.hurry();
  }

  /** Nobody is signed in: hold no connection, and keep what is known. */
  #closed() {
    this.#shut = true;
    this.#open = false;
    clearTimeout(this.#hiding);
    this.#feed.sleep();
    this.#store.setConnection({ state: "paused", reason: "Nobody is signed in." });
  }

  /** @param {boolean} same whether what is known may stay */
  #reopened(same) {
    this.#shut = false;
    if (!same) {
      this.#store.replaceAgents([]);
      this.#store.forgetHistory();
      this.#store.setConnection({ loaded: false });
      this.#waiting = [];
      this.#feed.restart(Number(UNKNOWN));
    }
    this.#awake();
  }

  /** @param {number | null} since */
  #silent(since) {
    if (this.#store.connection.silent !== since) this.#store.setConnection({ silent: since });
  }

  #opened() {
    this.#open = true;
    this.server.look();
    if (this.#feed.lastId === UNKNOWN) return; // a reset follows
    if (this.#waiting) void this.#readLists();
    else this.#stands();
  }

  #stands() {
    if (this.#open) this.#store.setConnection({ state: "live", reason: "", loaded: true });
  }

  /** @param {string} reason @param {boolean} reload whether only loading the page again can help */
  #lost(reason, reload) {
    this.#open = false;
    if (!this.#shut) this.#store.setConnection({ state: "lost", reason, reload });
  }

  /** @param {import("./feed.js").FeedEvent} event */
  #take(event) {
    if (event.type === "reset") {
      // All that is known is of another time. What happened lately is told first, and the lists
      // are read when the feed stands again.
      this.#store.forgetHistory();
      this.#waiting = [];
      this.#newest = event.id;
      this.#feed.restart(this.#past.after(event));
      return;
    }
    this.#past.reached();
    if (this.#waiting) {
      this.#waiting.push(event);
    } else {
      this.#store.apply(event);
      this.#declarations.readSoon();
    }
  }

  async #readLists() {
    if (this.#reading) return;
    this.#reading = true;
    try {
      // A reset while the lists are read makes them old before they are used.
      let told = 0;
      for (let asked = null; asked !== this.#waiting;) {
        asked = this.#waiting;
        told = Math.max(this.#newest, Number(this.#feed.lastId));
        const agents = await allAgents();
        if (asked === this.#waiting) this.#store.replaceAgents(agents);
      }
      const events = this.#waiting ?? [];
      for (const event of events.filter(({ id }) => id <= told)) this.#store.apply(event);
      this.#store.undeclared.clear(); // the lists are newer than these, and say what is declared
      for (const event of events.filter(({ id }) => id > told)) this.#store.apply(event);
      this.#waiting = null;
      this.#past.reached();
      this.#declarations.readSoon();
      this.#stands();
    } catch (error) {
      if (!this.#open) return; // it is read when the feed stands again
      const { message: reason } = /** @type {Error} */ (error);
      const reload = error instanceof Intercepted;
      this.#store.setConnection({ state: "lost", reason, reload });
      setTimeout(
        () => this.#open && this.#waiting && void this.#readLists(),
        AGAIN * (0.5 + Math.random()),
      );
    } finally {
      this.#reading = false;
    }
  }
}

/**
 * The way to what happened before the page was opened: behind the event before the oldest one that
 * the server has. In a storm that one is gone when it is asked for, and the answer is another reset;
 * then twice as much is left out as has gone meanwhile. Ids only ever grow, and need not be
 * contiguous: they leap when a server has crashed.
 */
export class Past {
  #tries = 0;
  #oldest = 0;

  /**
   * Return the id of the event behind which to ask.
   * @param {{id: number, data: {oldestId: number}}} reset
   */
  after({ id, data }) {
    const gone = this.#tries ? data.oldestId - this.#oldest : 0;
    this.#oldest = data.oldestId;
    this.#tries += 1;
    if (this.#tries > TRIES) return id;
    return Math.min(data.oldestId - 1 + gone * 2 ** (this.#tries - 1), id);
  }

  /** It has been found, or is empty. */
  reached() {
    this.#tries = 0;
  }
}
