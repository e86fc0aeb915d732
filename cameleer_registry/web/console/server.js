// Which server this is, and which nodes share its registry: looked up whenever the feed stands, and again for as long as agents have to
// come back after a restart.

import { nodes, server } from "./api.js";
import { serverNow } from "./clock.js";

/** Milliseconds between two looks while agents have to come back. */
const LOOK = 3000;

export class ServerWatch {
  #store;
  #timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
  #absent = false;

  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.#store = store;
  }

  async look() {
    clearTimeout(this.#timer);
    if (this.#absent) return;
    try {
      const found = await server();
      this.#store.setServer({ ...found, startedAt: startOf(found) });
    } catch (error) {
      // One that does not say which it is will not do so later.
      this.#absent = /** @type {any} */ (error).status === 404;
      return;
    }
    if (this.#store.server.resumed?.notBack) this.#again();
    // One that does not say: then nothing is said of nodes.
    if (this.#store.permissions.seesAll) await this.lookAtNodes().catch(() => {});
  }

  /** Read the nodes; raises what api.js does. */
  async lookAtNodes() {
    this.#store.setNodes(await nodes());
  }

  #again() {
    this.#timer = setTimeout(() => {
      if (this.#store.connection.state === "live") void this.look();
      else this.#again();
    }, LOOK);
  }
}

/** When it was started, by how long it has been up: its clock may have been set since. @param {import("./answers.js").ServerView} found */
const startOf = ({ uptimeMs, startedAt }) =>
  uptimeMs === undefined ? startedAt : new Date(serverNow() - uptimeMs).toISOString();
