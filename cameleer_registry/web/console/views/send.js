// Sending a command: to whom, what, and how many it will reach, before it is sent.

import * as api from "../api.js";
import { fill, h, setAttribute, setText, show } from "../dom.js";
import { number } from "../format.js";
import { faultOf, parse, written } from "../json.js";
import { go, to } from "../router.js";
import { confirm } from "./confirm.js";
import { afterPause, agents, refusal } from "./parts.js";

/** @typedef {import("../api.js").Target} Target */

/** @type {Record<string, string>} */
const TYPES = {
  "config-update": "Apply a configuration",
  "deep-trace": "Trace in depth",
  replay: "Replay an exchange",
};

/** @type {Record<Target["level"], string>} */
const LEVELS = { agent: "One agent", group: "A group", all: "All agents" };

/** Agents that are offered while an id is typed. */
const OFFERED = 20;

const LOST =
  "The server does not answer. It is tried again by itself, and what is typed here stays; " +
  "it can be sent as soon as the server is back.";

export class SendDialog {
  #store;
  #level = radios("level", LEVELS);
  #type = radios("type", TYPES);
  #agent = /** @type {HTMLInputElement} */ (
    h("input", { id: "send-agent", list: "send-agents", autocomplete: "off", spellcheck: "false" })
  );
  #offered = h("datalist", { id: "send-agents" });
  #group = /** @type {HTMLSelectElement} */ (h("select", { id: "send-group" }));
  #agentField = h(
    "div.field",
    null,
    h("label", { for: "send-agent" }, "Agent id"),
    this.#agent,
    this.#offered,
  );
  #groupField = h("div.field", null, h("label", { for: "send-group" }, "Group"), this.#group);
  #reach = h("p.reach");
  #payload = /** @type {HTMLTextAreaElement} */ (
    h("textarea", {
      id: "send-payload",
      rows: 7,
      spellcheck: "false",
      autocomplete: "off",
      placeholder: "{ }",
      "aria-describedby": "send-fault",
    })
  );
  #fault = h("p.fault", { id: "send-fault" });
  #said = h("div.said", { role: "status" });
  /** What is at fault, or else who is reached. */
  #tell = afterPause(() => setText(this.#said, this.#fault.textContent || this.#reach.textContent));
  #tidy = h("button.quiet.small", { type: "button", click: () => this.#indent() }, "Indent");
  #problem = h("div");
  #lost = h("p.refusal", { role: "status", hidden: true });
  #submit = /** @type {HTMLButtonElement} */ (h("button.primary", { type: "submit" }, "Send"));
  /** What was sent last, and under which key: the same again may be the same command. */
  #sent = { what: "", key: "" };
  #dialog;

  /** @param {import("../store.js").Store} store */
  constructor(store) {
    this.#store = store;
    const form = h(
      "form",
      { novalidate: true, submit: (event) => this.#submitted(event), input: () => this.#check() },
      h("h2", { id: "send-title" }, "Send a command"),
      this.#level.element("To"),
      this.#agentField,
      this.#groupField,
      this.#reach,
      this.#type.element("Command"),
      h(
        "div.field",
        null,
        h(
          "div.label-line",
          null,
          h("label", { for: "send-payload" }, "Payload, a JSON object"),
          this.#tidy,
        ),
        this.#payload,
        this.#fault,
      ),
      this.#problem,
      this.#lost,
      this.#said,
      h(
        "div.buttons",
        null,
        h("button.quiet", { type: "button", click: () => this.#dialog.close() }, "Cancel"),
        this.#submit,
      ),
    );
    this.#dialog = /** @type {HTMLDialogElement} */ (
      h("dialog.send", { "aria-labelledby": "send-title" }, form)
    );
    document.body.append(this.#dialog);
  }

  /** @param {Target} target what is chosen at first */
  open(target) {
    const groups = [...this.#store.groups.keys()].sort();
    const choices = groups.map((group) => h("option", { value: group }, group));
    fill(this.#group, h("option", { value: "" }, "Choose a group"), ...choices);
    this.#level.value = target.level;
    if (target.agentId) this.#agent.value = target.agentId;
    this.#group.value = groups.includes(target.group ?? "") ? (target.group ?? "") : "";
    fill(this.#problem);
    this.#sent = { what: "", key: "" };
    this.#check();
    this.#dialog.showModal();
  }

  /** @param {import("../store.js").Change} change */
  update({ topics }) {
    if (this.#dialog.open && (topics.has("agents") || topics.has("connection"))) this.#check();
  }

  /** @returns {Target} */
  get #target() {
    const level = /** @type {Target["level"]} */ (this.#level.value);
    if (level === "agent") return { level, agentId: this.#agent.value.trim() };
    if (level === "group") return { level, group: this.#group.value };
    return { level };
  }

  #check() {
    const target = this.#target;
    show(this.#agentField, target.level === "agent");
    show(this.#groupField, target.level === "group");
    if (target.level === "agent") this.#offer(target.agentId ?? "");
    const { reached, text, possible } = this.#reaching(target);
    setText(this.#reach, text);
    this.#reach.classList.toggle("nobody", reached === 0);
    const fault = faultOf(this.#payload.value);
    setAttribute(this.#payload, "aria-invalid", fault ? "true" : null);
    setText(
      this.#fault,
      fault ? `Line ${fault.line}, column ${fault.column}: ${fault.message}` : "",
    );
    const { state } = this.#store.connection;
    const live = state === "live";
    show(this.#lost, !live);
    setText(this.#lost, live ? "" : state === "lost" ? LOST : "Connecting to the server …");
    this.#submit.disabled = !possible || fault !== null || !live;
    setText(this.#submit, reached > 1 ? `Send to ${agents(reached)}` : "Send");
    this.#tell();
  }

  /** @param {Target} target */
  #reaching(target) {
    if (target.level === "agent") return this.#reachingAgent(target.agentId ?? "");
    if (target.level === "group" && !target.group) {
      return { reached: 0, text: "Which group?", possible: false };
    }
    const totals = this.#totals(target);
    const quiet = totals.STALE + totals.DEAD;
    if (!totals.LIVE) {
      const text = quiet
        ? `Nobody is reached: none of ${agents(quiet)} is LIVE.`
        : "Nobody is reached: there is no agent.";
      return { reached: 0, text, possible: true };
    }
    let connected = 0;
    for (const agent of this.#store.agents.values()) {
      const meant = target.level === "all" || agent.group === target.group;
      if (meant && agent.status === "LIVE" && agent.connected) connected += 1;
    }
    const parts = [`Reaches ${agents(totals.LIVE)}`];
    const without = totals.LIVE - connected;
    if (without && without === totals.LIVE) parts.push("none with an open stream");
    else if (without) parts.push(`${number(without)} of them without an open stream`);
    if (quiet) parts.push(`not the ${number(quiet)} that are STALE or DEAD`);
    return { reached: totals.LIVE, text: `${parts.join("; ")}.`, possible: true };
  }

  /** @param {string} id */
  #reachingAgent(id) {
    if (!id) return { reached: 0, text: "Which agent?", possible: false };
    const agent = this.#store.agents.get(id);
    if (!agent) return { reached: 0, text: "No agent of that id is registered.", possible: false };
    const where = agent.connected
      ? "its stream is open"
      : "it holds no stream: it can fetch the command when it comes back in time";
    return {
      reached: 1,
      text: `Reaches 1 agent, which is ${agent.status}; ${where}.`,
      possible: true,
    };
  }

  /** @param {Target} target */
  #totals({ level, group }) {
    const nobody = { LIVE: 0, STALE: 0, DEAD: 0, connected: 0 };
    return level === "all" ? this.#store.totals : (this.#store.groups.get(group ?? "") ?? nobody);
  }

  /** @param {string} typed */
  #offer(typed) {
    const text = typed.toLowerCase();
    const found = [];
    for (const { agentId } of this.#store.agents.values()) {
      if (agentId.toLowerCase().includes(text)) found.push(agentId);
      if (found.length >= OFFERED) break;
    }
    const offered = found.join("\n");
    if (this.#offered.dataset.offered === offered) return;
    this.#offered.dataset.offered = offered;
    fill(this.#offered, ...found.map((value) => h("option", { value })));
  }

  #indent() {
    const { value } = this.#payload;
    if (value.trim() && !faultOf(value)) this.#payload.value = written(parse(value), 2);
    this.#check();
    this.#payload.focus();
  }

  /** @param {SubmitEvent} event */
  async #submitted(event) {
    event.preventDefault();
    if (this.#submit.disabled) return;
    const target = this.#target;
    const act = () => this.#send(target);
    if (target.level === "all") {
      const { reached } = this.#reaching(target);
      await confirm({
        title: `Send to ${reached === 1 ? "the one LIVE agent" : `all ${agents(reached)}`}?`,
        text: [
          h(
            "p",
            null,
            h("strong", null, this.#type.value),
            " goes to every agent that is LIVE at that moment. It cannot be taken back.",
          ),
        ],
        verb: `Send to ${agents(reached)}`,
        act,
      });
      return;
    }
    this.#submit.disabled = true;
    try {
      await act();
    } catch (error) {
      fill(this.#problem, refusal(error));
    }
    this.#check();
  }

  /** @param {Target} target */
  async #send(target) {
    fill(this.#problem);
    const payload = this.#payload.value.trim() || "{}";
    const what = JSON.stringify([target, this.#type.value, payload]);
    if (what !== this.#sent.what) this.#sent = { what, key: api.newKey() };
    const command = await api.send(target, this.#type.value, payload, this.#sent.key);
    this.#store.putCommand(command);
    this.#dialog.close();
    go(to("commands", command.commandId));
  }
}

/**
 * A choice among a few.
 * @param {string} name
 * @param {Record<string, string>} choices value to words
 */
function radios(name, choices) {
  const inputs = Object.keys(choices).map(
    (value) =>
      /** @type {HTMLInputElement} */ (
        h("input", { type: "radio", name, value, id: `send-${name}-${value}` })
      ),
  );
  inputs[0].checked = true;
  return {
    /** @param {string} legend */
    element: (legend) =>
      h(
        `fieldset.choice.${name}`,
        null,
        h("legend", null, legend),
        ...inputs.map((input) =>
          h(
            "label",
            null,
            input,
            name === "type"
              ? h("span", null, h("b", null, input.value), h("small", null, choices[input.value]))
              : h("span", null, choices[input.value]),
          ),
        ),
      ),
    get value() {
      return inputs.find((input) => input.checked)?.value ?? "";
    },
    set value(value) {
      for (const input of inputs) input.checked = input.value === value;
    },
  };
}
