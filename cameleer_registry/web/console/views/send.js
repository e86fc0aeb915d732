// Sending a command: to whom, what, and how many it will reach, before it is sent.

import { newKey } from "../api.js";
import { fill, h, setAttribute, setText, show } from "../dom.js";
import { number } from "../format.js";
import { faultOf, parse, written } from "../json.js";
import { natural } from "../natural.js";
import { go, to } from "../router.js";
import { radios } from "./choice.js";
import { confirm } from "./confirm.js";
import { afterPause, agents, refusal } from "./parts.js";
import { reaching } from "./reach.js";

/** @typedef {import("./reach.js").Chosen} Chosen */

/** @type {Record<string, string>} */
const TYPES = {
  "config-update": "Apply a configuration",
  "deep-trace": "Trace in depth",
  replay: "Replay an exchange",
};

/** @type {Record<string, string>} */
const LEVELS = { agent: "One agent", group: "A group", all: "All agents" };

/** Agents that are named, of those that were chosen. */
const NAMED = 3;

/** Agents that are offered while an id is typed. */
const OFFERED = 20;

const LOST =
  "The server does not answer. It is tried again by itself, and what is typed here stays; " +
  "it can be sent as soon as the server is back.";

export class SendDialog {
  #store;
  #actions;
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
  /** Those that were chosen in a table, in place of a level. */
  #several = /** @type {string[]} */ ([]);
  #severalField = h("p.several");
  #levelField = this.#level.element("To");
  #progress = h("p.hint", { role: "status" });
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
  /** Whether it is under way. */
  #sending = false;
  #dialog;

  /** @param {import("../store.js").Store} store @param {import("../actions.js").Actions} actions */
  constructor(store, actions) {
    this.#store = store;
    this.#actions = actions;
    const form = h(
      "form",
      { novalidate: true, submit: (event) => this.#submitted(event), input: () => this.#check() },
      h("h2", { id: "send-title" }, "Send a command"),
      this.#levelField,
      this.#severalField,
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
      this.#progress,
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

  /** @param {Chosen} chosen at first */
  open(chosen) {
    const groups = [...this.#store.groups.keys()].sort(natural);
    const choices = groups.map((group) => h("option", { value: group }, group));
    fill(this.#group, h("option", { value: "" }, "Choose a group"), ...choices);
    this.#several = chosen.level === "several" ? chosen.agentIds : [];
    if (chosen.level !== "several") this.#level.value = chosen.level;
    if (chosen.level === "agent") this.#agent.value = chosen.agentId;
    const group = chosen.level === "group" ? (chosen.group ?? "") : "";
    this.#group.value = groups.includes(group) ? group : "";
    fill(this.#problem);
    setText(this.#progress, "");
    this.#sent = { what: "", key: "" };
    this.#check();
    this.#dialog.showModal();
  }

  /** @param {import("../store.js").Change} change */
  update({ topics }) {
    if (
      this.#dialog.open &&
      (topics.has("agents") || topics.has("connection") || topics.has("session"))
    ) {
      this.#check();
    }
  }

  /** @returns {Chosen} */
  get #chosen() {
    if (this.#several.length) return { level: "several", agentIds: this.#several };
    if (this.#level.value === "agent") {
      return { level: "agent", agentId: this.#agent.value.trim() };
    }
    if (this.#level.value === "group") return { level: "group", group: this.#group.value };
    return { level: "all" };
  }

  #check() {
    const chosen = this.#chosen;
    const { permissions, connection } = this.#store;
    this.#level.offer("all", permissions.operatesAll);
    show(this.#levelField, chosen.level !== "several");
    show(this.#severalField, chosen.level === "several");
    show(this.#agentField, chosen.level === "agent");
    show(this.#groupField, chosen.level === "group");
    if (chosen.level === "agent") this.#offer(chosen.agentId);
    if (chosen.level === "several") this.#name(chosen.agentIds);
    const { reached, text, possible } = reaching(this.#store, chosen);
    setText(this.#reach, text);
    this.#reach.classList.toggle("nobody", reached === 0);
    const fault = faultOf(this.#payload.value);
    setAttribute(this.#payload, "aria-invalid", fault ? "true" : null);
    setText(
      this.#fault,
      fault ? `Line ${fault.line}, column ${fault.column}: ${fault.message}` : "",
    );
    const { state } = connection;
    const live = state === "live";
    show(this.#lost, !live);
    setText(this.#lost, live ? "" : state === "lost" ? LOST : "Connecting to the server …");
    const allowed = chosen.level === "all" ? permissions.operatesAll : permissions.operates;
    this.#submit.disabled = !possible || fault !== null || !live || !allowed || this.#sending;
    setText(this.#submit, reached > 1 ? `Send to ${agents(reached)}` : "Send");
    this.#tell();
  }

  /** @param {string[]} ids */
  #name(ids) {
    const more = ids.length - NAMED;
    fill(
      this.#severalField,
      h("strong", null, `To the ${agents(ids.length)} that you have chosen: `),
      h("span.id", null, ids.slice(0, NAMED).join(", ")),
      more > 0 && ` and ${number(more)} more`,
      ". Each gets a command of its own.",
    );
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
    const chosen = this.#chosen;
    const act = () => this.#send(chosen);
    if (chosen.level === "all") {
      const { reached } = reaching(this.#store, chosen);
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
    this.#sending = true;
    this.#submit.disabled = true;
    try {
      await act();
    } catch (error) {
      fill(this.#problem, refusal(error));
    }
    this.#sending = false;
    this.#check();
  }

  /** @param {Chosen} chosen */
  async #send(chosen) {
    fill(this.#problem);
    const payload = this.#payload.value.trim() || "{}";
    const type = this.#type.value;
    const what = JSON.stringify([chosen, type, payload]);
    if (what !== this.#sent.what) this.#sent = { what, key: newKey() };
    const { key } = this.#sent;
    if (chosen.level === "several") return this.#sendToEach(chosen.agentIds, type, payload, key);
    const command = await this.#actions.send(chosen, type, payload, key);
    this.#dialog.close();
    go(to("commands", command.commandId));
  }

  /** @param {string[]} ids @param {string} type @param {string} payload @param {string} key */
  async #sendToEach(ids, type, payload, key) {
    const { done, failed } = await this.#actions.sendToEach(ids, type, payload, key, (progress) =>
      setText(this.#progress, `${number(progress.done)} of ${number(ids.length)} sent`),
    );
    if (!failed.length) {
      this.#dialog.close();
      go(to("commands", null, { type }));
      return;
    }
    const [{ id, error }] = failed;
    const again = "Sent again as it is, those that have it already get it only once.";
    throw Object.assign(
      new Error(
        `${agents(done)} got it, ${agents(failed.length)} did not. ${id}: ${error.message} ${again}`,
      ),
      { title: "Not sent to all" },
    );
  }
}
