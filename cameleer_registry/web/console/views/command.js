// One command: how far it has come, and what each agent said.

import * as api from "../api.js";
import { ticking } from "../clock.js";
import { fill, h, setAttribute, setText, show } from "../dom.js";
import { moment, number, plain, remaining } from "../format.js";
import { Grid } from "../grid.js";
import { written } from "../json.js";
import { Pane } from "./pane.js";
import {
  Progress,
  ago,
  agentLink,
  badge,
  compact,
  emptiness,
  fact,
  groupLink,
  outcome,
  outcomeText,
  sayUnread,
  verdict,
} from "./parts.js";

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

const FILTERS = ["", "FAILURE", "EXPIRED", "PENDING", "SUCCESS"];

/** @type {Record<string, string>} */
const NAMES = {
  "": "All",
  FAILURE: "Failed",
  EXPIRED: "Expired",
  PENDING: "Pending",
  SUCCESS: "Succeeded",
};

export class CommandPane {
  #store;
  #say;
  #pane;
  /** @type {string | null} */
  #id = null;
  /** @type {any} as it was read, with the payload */
  #command = null;
  /** @type {Map<string, Delivery> | null} null until they are read */
  #deliveries = null;
  /** @type {import("../feed.js").FeedEvent[] | null} what comes while they are read */
  #meanwhile = null;
  /** How often they were asked for: an answer counts unless another one was asked for after it. */
  #asked = 0;
  #filter = "";
  #drawn = "";
  /** Whether nothing was pending when it was drawn last. */
  #finished = false;

  #status = h("span");
  #trouble = h("div");
  #progress = new Progress();
  #numbers = h("p.numbers");
  #deadline = h("p.hint");
  #facts = h("div.facts");
  #chips = new Map(
    FILTERS.map((filter) => [
      filter,
      h("button.chip", { type: "button", click: () => this.#choose(filter) }, NAMES[filter]),
    ]),
  );
  #list;
  #body;

  /**
   * @param {import("../store.js").Store} store
   * @param {(text: string) => void} say
   * @param {() => void} close
   */
  constructor(store, say, close) {
    this.#store = store;
    this.#say = say;
    this.#list = new Grid({
      label: "Deliveries",
      kind: "per-agent",
      columns: [
        { key: "state", title: "Status", cell: ({ state }) => [badge(state)] },
        {
          key: "agentId",
          title: "Agent, and what it said",
          cell: ({ agentId, note }) => [
            agentLink(agentId),
            note && h("span.said-it", { title: note }, note),
          ],
        },
      ],
      key: (/** @type {Delivery} */ delivery) => delivery.agentId,
    });
    this.#body = h(
      "div.pane-body.filled",
      null,
      this.#progress.element,
      this.#numbers,
      this.#deadline,
      this.#facts,
      h(
        "div.chips",
        { role: "group", "aria-label": "Deliveries to show" },
        ...this.#chips.values(),
      ),
      this.#list.element,
    );
    this.#pane = new Pane("Command", close);
    this.#pane.beside(this.#status);
    this.element = this.#pane.element;
    this.element.append(this.#trouble, this.#body);
  }

  /** @param {string | null} id */
  show(id) {
    if (id === this.#id) return;
    this.#id = id;
    this.#asked += 1;
    this.#command = this.#deliveries = this.#meanwhile = null;
    this.#filter = "";
    this.#drawn = "";
    this.#finished = false;
    if (id === null) {
      this.#pane.close();
      return;
    }
    this.#pane.entitle("Command");
    fill(this.#status);
    fill(this.#trouble);
    show(this.#body, false);
    this.#list.setItems([]);
    this.#pane.open();
    void this.#read();
  }

  /** @param {import("../store.js").Change} change */
  update({ facts, topics }) {
    const id = this.#id;
    if (id === null) return;
    const about = facts.filter(({ data }) => data.commandId === id);
    const back = topics.has("connection") && this.#store.connection.state === "live";
    if (back && !this.#finished) void this.#read();
    if (!about.length) return;
    this.#meanwhile?.push(...about);
    if (this.#deliveries === null) return;
    const finished = this.#finished;
    this.#apply(about);
    // The feed tells what went wrong; what else agents said is read once, at the end.
    if (this.#finished && !finished) {
      this.#say(`${this.#command.type} is done: ${outcomeText(this.#known())}`);
      void this.#read();
    }
  }

  /** The command with its numbers as they are known now. @returns {import("../store.js").Command} */
  #known() {
    return this.#store.commands.get(this.#command.commandId) ?? this.#command;
  }

  async #read() {
    const id = this.#id;
    if (id === null) return;
    const asked = ++this.#asked;
    /** @type {import("../feed.js").FeedEvent[]} */
    const meanwhile = [];
    this.#meanwhile = meanwhile;
    try {
      const [command, deliveries] = await Promise.all([api.command(id), api.deliveries(id)]);
      if (asked !== this.#asked) return;
      this.#command = command;
      this.#deliveries = new Map(deliveries.map((one) => [one.agentId, read(one)]));
      this.#store.putCommand(command, this.#failures());
      this.#meanwhile = null;
      this.#apply(meanwhile);
      fill(this.#trouble);
      show(this.#body, true);
    } catch (error) {
      if (asked === this.#asked) this.#failed(/** @type {Error} */ (error));
    }
  }

  /** @param {Error} error */
  #failed(error) {
    if (error instanceof api.Problem && error.code === "command-not-found") {
      const why = "It was never sent, or is so old that the server has forgotten it.";
      if (!this.#command) fill(this.#trouble, emptiness("There is no such command", why));
    } else if (!this.#command || this.#store.connection.state === "live") {
      sayUnread(this.#trouble, error, () => void this.#read());
    } // else the banner says that the server is lost, and what was read stays
  }

  #failures() {
    let failed = 0;
    for (const { state } of this.#deliveries?.values() ?? []) if (state === "FAILURE") failed += 1;
    return failed;
  }

  /** @param {import("../feed.js").FeedEvent[]} facts */
  #apply(facts) {
    const deliveries = this.#deliveries;
    if (!deliveries) return;
    for (const { type, data } of facts) {
      if (data.counts) this.#store.changed(data); // which may not have known it when it was told
      if (type === "delivery-acknowledged") {
        const messages = new Map(
          data.failures.map((/** @type {any} */ one) => [one.agentId, one.message ?? ""]),
        );
        for (const agentId of data.agentIds) {
          const state = messages.has(agentId) ? "FAILURE" : "SUCCESS";
          // What was read says more than what is told.
          if (deliveries.get(agentId)?.state === state) continue;
          deliveries.set(agentId, { agentId, state, note: plain(messages.get(agentId) ?? "") });
        }
      } else if (type === "delivery-expired") {
        const note = data.reason === "agent-removed" ? "forgotten meanwhile" : "";
        for (const agentId of data.agentIds)
          deliveries.set(agentId, { agentId, state: "EXPIRED", note });
      }
    }
    this.#draw();
  }

  /** @param {string} filter */
  #choose(filter) {
    this.#filter = filter;
    this.#list.toTop();
    this.#draw();
  }

  #draw() {
    const command = { ...this.#known(), failed: this.#failures() };
    const counts = outcome(command);
    this.#finished = command.status !== "PENDING";
    this.#pane.entitle(command.type);
    this.#drawFacts(command);
    this.#progress.show(command);
    setText(this.#numbers, outcomeText(command));
    const numbers = /** @type {Record<string, number>} */ ({
      "": command.targetCount,
      FAILURE: counts.failed,
      EXPIRED: counts.expired,
      PENDING: counts.pending,
      SUCCESS: counts.succeeded,
    });
    for (const [filter, chip] of this.#chips) {
      setText(chip, `${NAMES[filter]} ${number(numbers[filter])}`);
      setAttribute(chip, "aria-pressed", filter === this.#filter ? "true" : "false");
    }
    const all = [...(this.#deliveries?.values() ?? [])];
    const shown = this.#filter ? all.filter(({ state }) => state === this.#filter) : all;
    shown.sort((a, b) => RANK[a.state] - RANK[b.state] || (a.agentId < b.agentId ? -1 : 1));
    this.#list.setItems(shown);
  }

  /** @param {import("../store.js").Command} command */
  #drawFacts(command) {
    const { target, createdAt, expiresAt, targetCount, connectedCount, skippedCount } = command;
    const status = verdict(command);
    if (this.#drawn === status) return;
    this.#drawn = status;
    fill(this.#status, badge(status));
    const waiting = status === "PENDING";
    fill(
      this.#deadline,
      waiting && "What is pending expires in ",
      waiting && ticking(expiresAt, remaining),
    );
    const payload = written(this.#command.payload, 2);
    fill(
      this.#facts,
      h(
        "dl",
        null,
        ...fact("To", whom(target)),
        ...fact(
          "Reached",
          `${number(connectedCount)} of ${number(targetCount)} held an open stream`,
          skippedCount > 0 && `; ${number(skippedCount)} skipped, with too much pending`,
        ),
        ...fact(
          "Sent",
          h("time", { datetime: createdAt }, moment(createdAt)),
          " · ",
          ago(createdAt),
        ),
        ...fact("Id", h("code", null, command.commandId)),
      ),
      payload === "{}"
        ? h("p.hint", null, "It has no payload.")
        : h(
            "details",
            null,
            h("summary", null, "Payload"),
            h("pre", { tabindex: 0 }, shown(payload)),
          ),
    );
  }
}

/** @param {string} text of several lines */
const shown = (text) => text.split("\n").map(plain).join("\n");

/** @param {import("../api.js").Target} target */
function whom(target) {
  if (target.level === "agent") return agentLink(target.agentId ?? "");
  if (target.level === "group") return h("span", null, "Group ", groupLink(target.group ?? ""));
  return "All agents";
}

/** @param {any} one as the server lists it @returns {Delivery} */
function read({ agentId, status, deliveredAt, lateAckAt, result }) {
  if (status === "ACKNOWLEDGED") {
    const data = result.data === null ? "" : compact(result.data);
    const note = [result.message && plain(result.message), data].filter(Boolean).join("  ");
    return { agentId, state: result.status, note };
  }
  if (status === "EXPIRED") {
    return { agentId, state: status, note: lateAckAt ? "acknowledged after the deadline" : "" };
  }
  return { agentId, state: status, note: deliveredAt ? "" : "not written to a stream yet" };
}
