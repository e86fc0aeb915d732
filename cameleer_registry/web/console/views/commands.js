// Commands that were sent, newest first, and one of them in full.

import { download } from "../download.js";
import { CommandList } from "../command-list.js";
import { fill, h, setAttribute, setText, show } from "../dom.js";
import { counted, number, plain } from "../format.js";
import { Grid } from "../grid.js";
import { natural } from "../natural.js";
import { go, rewrite, to } from "../router.js";
import { CommandPane } from "./command.js";
import { COLUMNS, EXPORTED, exported } from "./commands-table.js";
import { exportMenu } from "./menu.js";
import { TYPES, emptiness, searchField, word } from "./parts.js";

const STATES = ["", "PENDING", "FAILURE", "EXPIRED", "SUCCESS", "UNDELIVERABLE"];

/** An id as commands have it: what is typed in full is opened. */
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export class CommandsView {
  #store;
  #say;
  #route = /** @type {import("../router.js").Route | null} */ (null);
  #list;
  #sum = h("p.sum");
  #search = searchField("Search payloads and targets, or open an id", {
    input: () => this.#change("q", this.#search.value),
    keydown: (event) => this.#searched(event),
  });
  #type = choice("Type", [["", "All types"], ...TYPES.map((type) => [type, type])], (value) =>
    this.#change("type", value),
  );
  #group = choice("Group", [["", "All groups"]], (value) => this.#change("group", value));
  #groupNames = "";
  #agent = h("button.chip", { type: "button", click: () => this.#change("agentId", "") });
  #states = new Map(
    STATES.map((state) => [
      state,
      h(
        "button.chip",
        { type: "button", click: () => this.#change("status", state) },
        state ? word(state) : "All",
      ),
    ]),
  );
  #foot = h("div.foot", { role: "status" });
  #grid;
  #pane;
  #empty = h("div.nothing");

  /**
   * @param {import("../store.js").Store} store
   * @param {import("../actions.js").Actions} actions
   * @param {(text: string) => void} say
   */
  constructor(store, actions, say) {
    this.#store = store;
    this.#say = say;
    this.#list = new CommandList(store, actions, () => this.#draw());
    const close = () => go(to("commands", null, this.#route?.query));
    this.#grid = new Grid({
      label: "Commands",
      kind: "commands",
      columns: COLUMNS,
      key: (command) => command.commandId,
      open: ({ commandId }) => go(to("commands", commandId, this.#route?.query)),
      close,
      nearEnd: () => this.#list.more(),
    });
    this.#pane = new CommandPane(store, actions, say, close);
    this.element = h(
      "section.view.split",
      null,
      h("h1.unseen", { tabindex: -1 }, "Commands"),
      h(
        "div.list",
        null,
        h("div.heading", null, h("p.title", { "aria-hidden": "true" }, "Commands"), this.#sum),
        h(
          "div.filters",
          null,
          this.#search,
          this.#type,
          this.#group,
          h(
            "div.chips",
            { role: "group", "aria-label": "Outcome" },
            ...this.#states.values(),
            this.#agent,
          ),
          exportMenu((format) => this.#export(format)),
        ),
        h("div.fill", null, this.#grid.element, this.#empty, this.#foot),
      ),
      this.#pane.element,
    );
  }

  /** @param {import("../router.js").Route} route */
  show(route) {
    const { id, query } = route;
    const left = id === null && this.#pane.element.contains(document.activeElement);
    this.#route = route;
    if (document.activeElement !== this.#search) this.#search.value = query.get("q") ?? "";
    this.element.classList.toggle("detailed", id !== null);
    this.#grid.setSelected(id);
    this.#pane.show(id);
    this.#ask();
    if (left) this.#grid.element.focus();
  }

  hide() {
    this.#pane.show(null);
  }

  /** @param {import("../store.js").Change} change */
  update(change) {
    const { topics, facts } = change;
    const back = topics.has("connection") && this.#store.connection.state === "live";
    if (back) this.#list.resume();
    if (topics.has("history")) this.#list.restart();
    else if (facts.some(({ type }) => type === "command-issued" || type === "delivery-expired")) {
      this.#list.freshen();
    }
    if (topics.has("commands") || topics.has("agents")) this.#draw();
    this.#pane.update(change);
  }

  /** @param {string} name @param {string} value */
  #change(name, value) {
    if (!this.#route) return;
    if (value) this.#route.query.set(name, value);
    else this.#route.query.delete(name);
    rewrite(this.#route);
    this.#grid.toTop();
    this.#ask();
  }

  /** @param {KeyboardEvent} event */
  #searched({ key }) {
    if (key !== "Enter") return;
    const text = this.#search.value.trim();
    const rows = this.#list.rows();
    const id = ID.test(text) ? text.toLowerCase() : rows.length === 1 && text && rows[0].commandId;
    if (!id) return;
    this.#search.value = "";
    go(to("commands", id));
  }

  #ask() {
    const query = this.#route?.query ?? new URLSearchParams();
    const part = (/** @type {string} */ name) => query.get(name) ?? "";
    const state = part("status").toUpperCase();
    this.#list.ask({
      state: STATES.includes(state) ? state : "",
      type: part("type"),
      group: part("group"),
      agentId: part("agentId"),
      text: part("q").trim().toLowerCase(),
    });
    this.#draw();
  }

  get #filtered() {
    return ["q", "status", "type", "group", "agentId"].some((name) => this.#route?.query.get(name));
  }

  #draw() {
    const query = this.#route?.query ?? new URLSearchParams();
    const state = (query.get("status") ?? "").toUpperCase();
    for (const [name, chip] of this.#states) {
      setAttribute(chip, "aria-pressed", name === state ? "true" : "false");
    }
    this.#type.value = query.get("type") ?? "";
    this.#groupChoices(query.get("group") ?? "");
    const agentId = query.get("agentId") ?? "";
    show(this.#agent, agentId !== "");
    setText(this.#agent, `To ${plain(agentId)} ×`);
    setAttribute(this.#agent, "aria-label", `Take back: to ${plain(agentId)}`);
    const rows = this.#list.rows();
    const { complete } = this.#list;
    setText(
      this.#sum,
      complete ? counted(rows.length, "command") : `${number(rows.length)} so far`,
    );
    show(this.#grid.element, rows.length > 0);
    show(this.#empty, rows.length === 0);
    const why = this.#list.reading ? "loading" : this.#filtered ? "filtered" : "none";
    if (this.#empty.dataset.why !== why) {
      this.#empty.dataset.why = why;
      fill(this.#empty, WHY_EMPTY[why]());
    }
    this.#grid.setItems(rows);
    this.#drawFoot();
  }

  #drawFoot() {
    const { error, full, loading, looked, searching, complete } = this.#list;
    const said = error
      ? `The list could not be read. ${error.message}`
      : full
        ? `These are of the newest ${number(looked)}. Filters reach further back.`
        : loading
          ? searching && looked > 0 && `Looking through ${number(looked)} commands …`
          : searching && !complete && `Looked through the newest ${number(looked)} commands.`;
    show(this.#foot, Boolean(said));
    const again = !loading && !full;
    if (this.#foot.dataset.said === `${said} ${again}`) return;
    this.#foot.dataset.said = `${said} ${again}`;
    fill(
      this.#foot,
      h("span", null, plain(said || "")),
      again &&
        h(
          "button.quiet.small",
          { type: "button", click: () => this.#list.further() },
          error ? "Try again" : "Look further",
        ),
    );
  }

  /** @param {string} chosen */
  #groupChoices(chosen) {
    const names = [...this.#store.groups.keys()].sort(natural);
    if (chosen && !names.includes(chosen)) names.unshift(chosen);
    const joined = names.join("\n");
    if (joined !== this.#groupNames) {
      this.#groupNames = joined;
      const choices = names.map((name) => h("option", { value: name }, name));
      fill(this.#group, h("option", { value: "" }, "All groups"), ...choices);
    }
    this.#group.value = chosen;
  }

  /** @param {import("../download.js").Format} format */
  #export(format) {
    const rows = this.#list.rows().map((command) => exported(command, format));
    download("commands", format, EXPORTED, rows);
    this.#say(`${counted(rows.length, "command")} exported`);
  }
}

/** @type {Record<string, () => Node>} */
const WHY_EMPTY = {
  loading: () => emptiness("Reading the commands …", "One moment."),
  filtered: () => emptiness("No command matches", "Take back a filter, or look for another word."),
  none: () =>
    emptiness(
      "No command is remembered",
      "One appears as soon as it is sent, from here or from anywhere.",
    ),
};

/**
 * @param {string} label
 * @param {string[][]} options value and text
 * @param {(value: string) => void} change
 */
function choice(label, options, change) {
  const element = /** @type {HTMLSelectElement} */ (
    h(
      "select",
      { "aria-label": label, change: () => change(element.value) },
      ...options.map(([value, text]) => h("option", { value }, text)),
    )
  );
  return element;
}
