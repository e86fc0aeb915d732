// What a view can ask for: the server is asked, and what it answers goes into the store from here.
// Views themselves only read the store.

import * as api from "./api.js";

/** @typedef {import("./answers.js").Target} Target */

/** Requests that are under way at the same time, of many: a browser opens six connections to a host,
 * and the feed has one of them. */
const AT_ONCE = 4;

/** @typedef {{done: number, failed: {id: string, error: Error}[]}} Progress */

export class Actions {
  #store;

  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.#store = store;
  }

  /**
   * Read an agent, and the commands to it where they are asked for; null where the feed has told more
   * meanwhile than the answer could know. Raises Problem, Unreachable and Intercepted.
   * @param {string} id
   * @param {boolean} withCommands
   */
  async readAgent(id, withCommands) {
    const known = this.#store.agents.get(id);
    const overtaken = () => known !== this.#store.agents.get(id);
    try {
      const [agent, commands] = await Promise.all([
        api.agent(id),
        withCommands ? api.commandsOfAgent(id) : null,
      ]);
      if (overtaken()) return null;
      this.#store.putAgent(agent);
      return { agent, commands };
    } catch (error) {
      if (overtaken()) return null;
      if (isUnknown(error)) this.#store.removeAgent(id);
      throw error;
    }
  }

  /** Read a command with its deliveries. Raises as above. @param {string} id */
  async readCommand(id) {
    const [command, deliveries] = await Promise.all([api.command(id), api.deliveries(id)]);
    this.#store.putCommands([command]);
    const failed = deliveries.filter(({ result }) => result?.status === "FAILURE").length;
    this.#store.putFailed(id, failed);
    return { command, deliveries };
  }

  /** Read a page of commands. Raises as above. @param {string} query */
  async readCommands(query) {
    const page = await api.commands(query);
    this.#store.putCommands(page.commands);
    return page;
  }

  /**
   * Issue a command. Raises as above.
   * @param {Target} target
   * @param {string} type
   * @param {string} payload as it was typed
   * @param {string} key under which it is issued once
   */
  async send(target, type, payload, key) {
    const command = await api.send(target, type, payload, key);
    this.#store.putCommands([command]);
    return command;
  }

  /**
   * Issue one command to each of several agents, each under a key of its own.
   * @param {string[]} ids
   * @param {string} type
   * @param {string} payload as it was typed
   * @param {string} key from which each gets its own
   * @param {(progress: Progress) => void} tell
   */
  sendToEach(ids, type, payload, key, tell) {
    return each(ids, tell, (agentId) =>
      this.send({ level: "agent", agentId }, type, payload, `${key}-${agentId}`),
    );
  }

  /** Forget an agent. Raises as above. @param {string} id */
  async forget(id) {
    const known = this.#store.agents.get(id);
    await api.forget(id);
    if (known === this.#store.agents.get(id)) this.#store.removeAgent(id);
  }

  /**
   * Forget several agents; those that somebody else has forgotten meanwhile are none that failed.
   * @param {string[]} ids
   * @param {(progress: Progress) => void} tell
   */
  forgetEach(ids, tell) {
    return each(ids, tell, async (id) => {
      try {
        await this.forget(id);
      } catch (error) {
        if (!isUnknown(error)) throw error;
        this.#store.removeAgent(id);
      }
    });
  }
}

/** @param {unknown} error */
const isUnknown = (error) => error instanceof api.Problem && error.code === "agent-not-registered";

/**
 * Do something for each, a few at a time, and go on where it fails for one of them.
 * @param {string[]} ids
 * @param {(progress: Progress) => void} tell is told how far it is
 * @param {(id: string) => Promise<unknown>} act
 * @returns {Promise<Progress>}
 */
async function each(ids, tell, act) {
  /** @type {Progress} */
  const progress = { done: 0, failed: [] };
  const left = ids.values();
  let lost = /** @type {Error | null} */ (null);
  const work = async () => {
    for (const id of left) {
      try {
        if (lost) throw lost;
        await act(id);
        progress.done += 1;
      } catch (error) {
        progress.failed.push({ id, error: /** @type {Error} */ (error) });
        // Of a server that does not answer, nor lets anybody in, the rest is not asked one by one.
        if (!(error instanceof api.Problem) || error.signedOut) lost = /** @type {Error} */ (error);
      }
      tell(progress);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return progress;
}
