// One agent: what it declared, how it is, and what became of its last commands.

import { Problem } from "../api.js";
import { fill, h, show } from "../dom.js";
import { counted, moment, plain } from "../format.js";
import { to } from "../router.js";
import { Pane } from "./pane.js";
import {
  ago,
  badge,
  compact,
  emptiness,
  fact,
  groupLink,
  lasting,
  sayUnread,
  stream,
} from "./parts.js";
import { forgetOne } from "./forget.js";

/** Milliseconds between two looks at an agent that is shown: heartbeats are not on the feed. */
const LOOK = 2000;

/** Milliseconds after an event that concerns it: several come together. */
const SETTLE = 200;

/** Commands that are shown. */
const COMMANDS = 20;

export class AgentPane {
  #store;
  #actions;
  #send;
  #pane;
  /** @type {string | null} */
  #id = null;
  /** @type {import("../answers.js").AgentView | null} as it was read last */
  #agent = null;
  /** Whether something has happened to its commands since they were read. */
  #commandsOld = true;
  #drawn = "";
  #commandsDrawn = "";
  #conflictAt = /** @type {string | null} */ (null);
  /** How often it was read: an answer counts unless another one was asked for after it. */
  #asked = 0;
  #timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);

  #facts = h("div.facts");
  #commands = h("div.commands");
  #trouble = h("div");
  #buttons = h("div.buttons");

  /**
   * @param {import("../store.js").Store} store
   * @param {import("../actions.js").Actions} actions
   * @param {import("./send.js").SendDialog} send
   * @param {() => void} close
   */
  constructor(store, actions, send, close) {
    this.#store = store;
    this.#actions = actions;
    this.#send = send;
    this.#buttons.append(
      h("button.primary", { type: "button", click: () => this.#sendHere() }, "Send command"),
      h(
        "button.quiet.danger-text",
        { type: "button", click: () => this.#forget() },
        "Forget agent",
      ),
    );
    this.#pane = new Pane("Agent", close);
    this.element = this.#pane.element;
    this.element.append(
      h(
        "div.pane-body",
        { tabindex: 0, role: "group", "aria-label": "Details" },
        this.#trouble,
        this.#facts,
        this.#buttons,
        this.#commands,
      ),
    );
  }

  /** @param {string | null} id */
  show(id) {
    if (id === this.#id) return;
    this.#id = id;
    this.#asked += 1;
    clearTimeout(this.#timer);
    if (id === null) {
      this.#pane.close();
      return;
    }
    this.#agent = null;
    this.#commandsOld = true;
    this.#drawn = this.#commandsDrawn = "";
    this.#conflictAt = null;
    this.#pane.entitle(id, true);
    fill(this.#trouble);
    fill(this.#facts);
    fill(this.#commands);
    show(this.#buttons, false);
    this.#pane.open();
    void this.#read();
  }

  /** @param {import("../store.js").Change} change */
  update({ facts, topics }) {
    const id = this.#id;
    if (id === null) return;
    const about = facts.filter(
      ({ data }) =>
        data.agentId === id || data.agentIds?.includes(id) || data.target?.agentId === id,
    );
    for (const { type, data } of about) if (type === "stream-conflict") this.#conflictAt = data.at;
    const broadcast = facts.some(({ type }) => type === "command-issued");
    const back = topics.has("connection") && this.#store.connection.state === "live";
    if (!about.length && !broadcast && !back) return;
    this.#commandsOld = true;
    this.#readIn(SETTLE);
  }

  /** @param {number} wait */
  #readIn(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#read(), wait);
  }

  async #read() {
    const id = this.#id;
    if (id === null || this.#store.connection.state === "paused") return;
    const asked = ++this.#asked;
    const old = this.#commandsOld;
    this.#commandsOld = false;
    try {
      const read = await this.#actions.readAgent(id, old);
      if (asked !== this.#asked) return this.#overtaken(old);
      if (!read) return this.#readAgain();
      this.#agent = read.agent;
      fill(this.#trouble);
      show(this.#buttons, this.#store.permissions.operates);
      this.#drawFacts(read.agent);
      if (read.commands) this.#drawCommands(read.commands);
    } catch (error) {
      if (asked !== this.#asked) return this.#overtaken(old);
      this.#commandsOld = true;
      this.#failed(/** @type {Error} */ (error));
    }
    this.#readIn(LOOK * (0.9 + 0.2 * Math.random()));
  }

  /** @param {boolean} old whether the commands were read, too: the newer reading left them out */
  #overtaken(old) {
    this.#commandsOld ||= old;
  }

  #readAgain() {
    this.#commandsOld = true;
    this.#readIn(SETTLE);
  }

  /** @param {Error} error */
  #failed(error) {
    if (error instanceof Problem && error.code === "agent-not-registered") {
      fill(
        this.#trouble,
        emptiness(
          "This agent is not registered",
          "It was forgotten, or never came. If it registers, it appears here.",
        ),
      );
      this.#drawn = this.#commandsDrawn = "";
      fill(this.#facts);
      fill(this.#commands);
      show(this.#buttons, false);
    } else if (!this.#agent || this.#store.connection.state === "live") {
      sayUnread(this.#trouble, error, () => this.#readIn(0));
    }
  }

  /** @param {import("../answers.js").AgentView} agent */
  #drawFacts(agent) {
    const drawn = JSON.stringify([agent, this.#conflictAt]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const capabilities = Object.entries(agent.capabilities);
    fill(
      this.#facts,
      this.#conflictAt !== null &&
        h(
          "p.warning",
          { role: "alert" },
          "Several processes share this id, and take the stream from each other. Seen ",
          ago(this.#conflictAt),
          ".",
        ),
      agent.name !== agent.agentId && h("p.lead", null, plain(agent.name)),
      h(
        "dl",
        null,
        ...fact(
          "Status",
          badge(agent.status),
          h("span.note", null, " for ", lasting(agent.statusChangedAt)),
        ),
        ...fact("Heartbeat", ago(agent.lastHeartbeatAt)),
        ...fact("Stream", stream(agent.connected)),
        ...fact("Group", groupLink(agent.group)),
        ...fact("Version", agent.version ? plain(agent.version) : "–"),
        ...fact("Instance", agent.instanceId ? h("code", null, plain(agent.instanceId)) : "–"),
        ...fact(
          "Registered",
          h("time", { datetime: agent.registeredAt }, moment(agent.registeredAt)),
        ),
      ),
      h("h3", null, counted(agent.routeIds.length, "route")),
      agent.routeIds.length > 0 &&
        h("ul.routes", null, ...agent.routeIds.map((route) => h("li", null, plain(route)))),
      h("h3", null, counted(capabilities.length, "capability", "capabilities")),
      capabilities.length > 0 &&
        h(
          "dl.capabilities",
          null,
          ...capabilities.flatMap(([name, value]) => fact(plain(name), capability(value))),
        ),
    );
  }

  /** @param {import("../answers.js").AgentDeliveryView[]} commands newest first */
  #drawCommands(commands) {
    const drawn = JSON.stringify(commands);
    if (drawn === this.#commandsDrawn) return;
    this.#commandsDrawn = drawn;
    const shown = commands.slice(0, COMMANDS);
    const more = commands.length > shown.length;
    fill(
      this.#commands,
      h("h3", null, more ? `Last ${COMMANDS} of ${commands.length} commands` : "Commands"),
      shown.length
        ? h("ul.deliveries", null, ...shown.map(delivery))
        : h("p.hint", null, "No command to it is remembered."),
      more &&
        h(
          "a.more",
          { href: to("commands", null, { agentId: this.#id ?? "" }) },
          "All commands to it",
        ),
    );
  }

  #sendHere() {
    if (this.#id !== null) this.#send.open({ level: "agent", agentId: this.#id });
  }

  async #forget() {
    const id = this.#id;
    if (id === null) return;
    const done = await forgetOne(this.#actions, id, this.#agent?.status === "LIVE");
    if (done && this.#id === id) location.hash = to("agents");
  }
}

/** @param {unknown} value */
const capability = (value) => (value === true ? "yes" : h("code", null, compact(value)));

/** @param {import("../answers.js").AgentDeliveryView} one a delivery to this agent */
function delivery(one) {
  const { commandId, type, status, createdAt, result } = one;
  const verdict = result?.status ?? status;
  const late = one.lateAckAt && "acknowledged after the deadline";
  const unseen = status === "PENDING" && !one.deliveredAt && "not written to a stream yet";
  const said = [result?.message && plain(result.message), late, unseen].filter(Boolean).join("; ");
  const hasData = result && result.data !== null;
  return h(
    "li",
    null,
    h(
      "div.delivery-head",
      null,
      h("a", { href: to("commands", commandId) }, type),
      badge(verdict),
      ago(createdAt),
    ),
    said && h("p.message", null, said),
    hasData && h("code.data", null, compact(result.data)),
  );
}
