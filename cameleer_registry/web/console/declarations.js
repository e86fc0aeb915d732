// What agents declare, their routes and capabilities: the feed says who has registered, and not what
// they declare. One after the other where they are few, and with the whole list where they are many.

import { agent, allAgents } from "./api.js";

/** Milliseconds in which registrations gather, and between two readings of the whole list. */
const GATHER = 500;
const REST = 5000;

/** Agents that are asked for one by one. */
const FEW = 20;

export class Declarations {
  #store;
  #timer = /** @type {ReturnType<typeof setTimeout> | null} */ (null);
  #restUntil = 0;

  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.#store = store;
  }

  /** Read what has not been read, in a moment. */
  readSoon() {
    if (this.#timer || !this.#store.undeclared.size) return;
    const rest = this.#store.undeclared.size > FEW ? this.#restUntil - Date.now() : 0;
    this.#timer = setTimeout(() => void this.#read(), Math.max(GATHER, rest));
  }

  async #read() {
    const { undeclared, connection } = this.#store;
    const ids = [...undeclared];
    try {
      if (connection.state !== "live") return; // it is asked for again when something happens
      // Who registers while this is asked for comes in anew.
      undeclared.clear();
      if (ids.length > FEW) {
        this.#restUntil = Date.now() + REST;
        this.#store.putDeclared(await allAgents());
      } else {
        for (const id of ids) {
          const found = await agent(id).catch(ifThere);
          if (found) this.#store.putDeclared([found]);
        }
      }
    } catch {
      for (const id of ids) undeclared.add(id);
    } finally {
      this.#timer = null;
      if (undeclared.size && connection.state === "live") this.readSoon();
    }
  }
}

/** Who was forgotten meanwhile declares nothing. @param {any} error @returns {null} */
function ifThere(error) {
  if (error.status === 404) return null;
  throw error;
}
