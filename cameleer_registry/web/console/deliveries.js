// What has become of one command at each agent: as it was read, with what the feed tells on top.

import { written } from "./json.js";

/**
 * @typedef {object} Delivery frozen: a change makes another one
 * @property {string} agentId
 * @property {string} state PENDING, SUCCESS, FAILURE or EXPIRED
 * @property {string} note what the agent said, or why there is nothing
 */

/** Those that need a look come first. */
const RANK = /** @type {Record<string, number>} */ ({
  FAILURE: 0,
  EXPIRED: 1,
  PENDING: 2,
  SUCCESS: 3,
});

export class Deliveries {
  #all;
  /** Whether agents have said what the feed does not tell: it has no word of those that succeeded. */
  partial = false;

  /** @param {import("./answers.js").DeliveryView[]} listed */
  constructor(listed) {
    this.#all = new Map(listed.map((one) => [one.agentId, read(one)]));
  }

  get failed() {
    let failed = 0;
    for (const { state } of this.#all.values()) if (state === "FAILURE") failed += 1;
    return failed;
  }

  /** @param {import("./feed.js").FeedEvent} event about this command */
  apply({ type, data }) {
    if (type === "delivery-acknowledged") {
      const messages = new Map(
        data.failures.map((/** @type {any} */ one) => [one.agentId, one.message ?? ""]),
      );
      for (const agentId of data.agentIds) {
        const state = messages.has(agentId) ? "FAILURE" : "SUCCESS";
        // What was read says more than what is told.
        if (this.#all.get(agentId)?.state === state) continue;
        this.#all.set(agentId, { agentId, state, note: messages.get(agentId) ?? "" });
        this.partial = true;
      }
    } else if (type === "delivery-expired") {
      const note = data.reason === "agent-removed" ? "forgotten meanwhile" : "";
      for (const agentId of data.agentIds) {
        this.#all.set(agentId, { agentId, state: "EXPIRED", note });
      }
    }
  }

  /** Those in a state, or all; what needs a look first. @param {string} state */
  list(state) {
    const all = [...this.#all.values()];
    const shown = state ? all.filter((one) => one.state === state) : all;
    return shown.sort((a, b) => RANK[a.state] - RANK[b.state] || (a.agentId < b.agentId ? -1 : 1));
  }
}

/** @param {import("./answers.js").DeliveryView} one @returns {Delivery} */
function read({ agentId, status, deliveredAt, lateAckAt, result }) {
  if (result) {
    const data = result.data === null ? "" : written(result.data);
    return {
      agentId,
      state: result.status,
      note: [result.message, data].filter(Boolean).join("  "),
    };
  }
  if (status === "EXPIRED") {
    return { agentId, state: status, note: lateAckAt ? "acknowledged after the deadline" : "" };
  }
  return { agentId, state: status, note: deliveredAt ? "" : "not written to a stream yet" };
}
