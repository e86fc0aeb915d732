// One command: how far it has come, and what each agent said.

import { Problem } from "../api.js";
import { ticking } from "../clock.js";
import { Deliveries } from "../deliveries.js";
import { download } from "../download.js";
import { fill, h, setAttribute, setText, show } from "../dom.js";
import { number, plain, remaining } from "../format.js";
import { Grid } from "../grid.js";
import { commandFacts } from "./command-facts.js";
import { exportMenu } from "./menu.js";
import { Pane } from "./pane.js";
import {
  Progress,
  agentLink,
  badge,
  emptiness,
  outcome,
  outcomeText,
  sayUnread,
  verdict,
} from "./parts.js";

/** @typedef {import("../deliveries.js").Delivery} Delivery */

const FILTERS = ["", "FAILURE", "EXPIRED", "PENDING", "SUCCESS"];

/** @type {Record<string, string>} */
const NAMES = {
  "": "All",
  FAILURE: "Failed",
  EXPIRED: "Expired",
  PENDING: "Pending",
  SUCCESS: "Succeeded",
};

/** Milliseconds between two readings of what agents have said: half of one for each agent, at least
 * and at most. */
const PACE = { each: 0.5, least: 400, most: 5000 };

export class CommandPane {
  #store;
  #actions;
  #say;
  #pane;
  /** @type {string | null} */
  #id = null;
  /** @type {import("../answers.js").CommandView | null} as it was read, with the payload */
  #command = null;
  /** @type {Deliveries | null} null until they are read */
  #deliveries = null;
  /** @type {import("../feed.js").FeedEvent[] | null} what comes while they are read */
  #meanwhile = null;
  /** How often they were asked for: an answer counts unless another one was asked for after it. */
  #asked = 0;
  #askedAt = 0;
  #timer = /** @type {ReturnType<typeof setTimeout> | null} */ (null);
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
   * @param {import("../actions.js").Actions} actions
   * @param {(text: string) => void} say
   * @param {() => void} close
   */
  constructor(store, actions, say, close) {
    this.#store = store;
    this.#actions = actions;
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
            note && h("span.said-it", { title: plain(note) }, plain(note)),
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
        "div.pane-filters",
        null,
        h(
          "div.chips",
          { role: "group", "aria-label": "Deliveries to show" },
          ...this.#chips.values(),
        ),
        exportMenu((format) => void this.#export(format)),
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
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
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
    if ((back && !this.#finished) || topics.has("history")) void this.#read();
    if (!about.length) return;
    this.#meanwhile?.push(...about);
    if (this.#deliveries === null) return;
    this.#apply(about);
    if (this.#deliveries.partial) this.#readSoon();
  }

  /** The command with its numbers as they are known now. */
  #known() {
    return this.#store.commands.get(this.#id ?? "");
  }

  /** What agents said, read while more of them answer; of many agents not at every moment. */
  #readSoon() {
    if (this.#timer) return;
    const pace = (this.#known()?.targetCount ?? 0) * PACE.each;
    const wait = this.#askedAt + Math.min(Math.max(pace, PACE.least), PACE.most) - Date.now();
    this.#timer = setTimeout(() => void this.#read(), Math.max(0, wait));
  }

  async #read() {
    const id = this.#id;
    if (id === null) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const asked = ++this.#asked;
    this.#askedAt = Date.now();
    /** @type {import("../feed.js").FeedEvent[]} */
    const meanwhile = [];
    this.#meanwhile = meanwhile;
    try {
      const { command, deliveries } = await this.#actions.readCommand(id);
      if (asked !== this.#asked) return;
      this.#command = command;
      this.#deliveries = new Deliveries(deliveries);
      this.#meanwhile = null;
      this.#apply(meanwhile);
      if (this.#deliveries.partial) this.#readSoon();
      fill(this.#trouble);
      show(this.#body, true);
    } catch (error) {
      if (asked === this.#asked) this.#failed(/** @type {Error} */ (error));
    }
  }

  /** @param {Error} error */
  #failed(error) {
    if (error instanceof Problem && error.code === "command-not-found") {
      const why = "It was never sent, or is so old that the server has forgotten it.";
      if (!this.#command) fill(this.#trouble, emptiness("There is no such command", why));
    } else if (!this.#command || this.#store.connection.state === "live") {
      sayUnread(this.#trouble, error, () => void this.#read());
    } // else the banner says that the server is lost, and what was read stays
  }

  /** @param {import("../feed.js").FeedEvent[]} facts */
  #apply(facts) {
    for (const fact of facts) this.#deliveries?.apply(fact);
    this.#draw();
  }

  /** @param {string} filter */
  #choose(filter) {
    this.#filter = filter;
    this.#list.toTop();
    this.#draw();
  }

  #draw() {
    const command = this.#known();
    if (!command || !this.#deliveries) return;
    const counts = outcome(command);
    const waited = this.#drawn !== "" && !this.#finished;
    this.#finished = command.status !== "PENDING";
    if (waited && this.#finished) this.#say(`${command.type} is done: ${outcomeText(command)}`);
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
    this.#list.setItems(this.#deliveries.list(this.#filter));
  }

  /** @param {import("../issued.js").Command} command */
  #drawFacts(command) {
    const status = verdict(command);
    if (this.#drawn === status) return;
    this.#drawn = status;
    fill(this.#status, badge(status));
    const waiting = status === "PENDING";
    fill(
      this.#deadline,
      waiting && "What is pending expires in ",
      waiting && ticking(command.expiresAt, remaining),
    );
    fill(this.#facts, ...commandFacts(command, this.#command?.payload));
  }

  /** @param {import("../download.js").Format} format */
  async #export(format) {
    const id = this.#id;
    if (id === null) return;
    try {
      const { deliveries } = await this.#actions.readCommand(id);
      const rows = deliveries.map(({ result, ...rest }) => ({
        ...rest,
        ...{ outcome: result?.status, message: result?.message, data: result?.data },
      }));
      const columns = ["agentId", "status", "outcome", "message", "data", "deliveredAt"];
      columns.push("acknowledgedAt", "lateAckAt");
      download(`command-${id}`, format, columns, rows);
    } catch (error) {
      this.#say(`Nothing was exported. ${/** @type {Error} */ (error).message}`);
    }
  }
}
