// Who is signed in, and what happens when nobody is any more: the feed lets go of its connection,
// everything that was typed stays, and once somebody has signed in it goes on where it was.

import * as api from "./api.js";
import { Permissions } from "./permissions.js";

/** Milliseconds for which the page waits at its start to be told who asks. */
const PATIENCE = 3000;

/** A token that is good, but lets nobody see anything. */
class Useless extends Error {
  title = "This token cannot sign in";

  /** @param {string} role */
  constructor(role) {
    super(`It has the role ${role}. Use the token of a viewer, an operator or an admin.`);
  }
}

export class Session {
  #store;
  #ask;
  #gate = Promise.resolve();
  #open = /** @type {(() => void) | null} */ (null);

  /** Called when nobody is signed in any more, and when somebody is; with whether they see the same. */
  closed = () => {};
  opened = (/** @type {boolean} */ _same) => {};

  /**
   * @param {import("./store.js").Store} store
   * @param {(why: string) => void} ask shows the way to sign in
   */
  constructor(store, ask) {
    this.#store = store;
    this.#ask = ask;
    api.whenSignedOut((problem) => this.#ended(problem));
  }

  /** Resolves once it is known who asks, or that it does not matter. */
  async start() {
    await this.#spend();
    await Promise.race([this.#learn(), new Promise((go) => setTimeout(go, PATIENCE))]);
    if (this.#store.permissions.mustSignIn) this.#close("");
    await this.#gate;
  }

  /** Open a session; raises Problem, Unreachable and Useless. @param {string} token */
  async signIn(token) {
    const before = this.#store.permissions;
    await api.signIn({ token }).catch((problem) => {
      throw problem.code === "insufficient-role" ? new Useless("enrol") : problem; // no other role is refused
    });
    const found = new Permissions(await api.auth());
    if (!found.reads) {
      await api.signOut();
      throw new Useless(found.principal?.role ?? "");
    }
    this.#store.setPermissions(found);
    this.#release(before.sameSight(this.#store.permissions));
  }

  /** End the session; raises Problem and Unreachable. */
  async signOut() {
    await api.signOut();
    await this.#learn();
    if (this.#store.permissions.mustSignIn) this.#close("You have signed out.");
    else this.opened(false); // what anybody may see
  }

  /** Let somebody in with the one-time code that a command line has put into the address. */
  async #spend() {
    const code = /^#code=([\w-]+)$/.exec(location.hash)?.[1];
    if (!code) return;
    history.replaceState(null, "", "#/agents"); // it is worth nothing, and nobody should keep it
    await api.signIn({ code }).catch(() => {}); // then there is the other way
  }

  async #learn() {
    try {
      this.#store.setPermissions(new Permissions(await api.auth()));
    } catch {
      // A server without credentials, or none at all: whoever reads will be told.
    }
  }

  /** @param {import("./api.js").Problem} problem */
  #ended(problem) {
    if (this.#open) return; // it is being asked
    const { auth, hasSessions } = this.#store.permissions;
    if (auth && !hasSessions) return; // whoever has refused says so; a token would be of no use
    this.#close(problem.code === "unauthenticated" ? "" : problem.message);
  }

  /** @param {string} why */
  #close(why) {
    if (this.#open) return;
    this.#gate = new Promise((resolve) => (this.#open = resolve));
    this.closed();
    this.#ask(why);
  }

  /** @param {boolean} same */
  #release(same) {
    this.#open?.();
    this.#open = null;
    this.opened(same);
  }
}
