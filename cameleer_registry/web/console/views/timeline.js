// What happened, newest first, as far back as this page was open or the server remembers.

import { download } from "../download.js";
import { h, setAttribute, setText } from "../dom.js";
import { counted, number } from "../format.js";
import { go, rewrite, to } from "../router.js";
import { EntryPane } from "./entry.js";
import { KINDS, kindOf, mentions, moreOf, whatOf } from "./happenings.js";
import { exportMenu } from "./menu.js";
import { searchField } from "./parts.js";
import { TimelineList } from "./timeline-list.js";

/** @typedef {import("../timeline.js").Entry} Entry */

/** Columns of the exported CSV. */
const EXPORTED = [
  "at",
  "since",
  "type",
  "text",
  "group",
  "commandId",
  "agents",
  "events",
  "failures",
];

/** Milliseconds between two looks through a long timeline. */
const CALM = 250;

export class TimelineView {
  #store;
  #route = /** @type {import("../router.js").Route | null} */ (null);
  #list;
  #pane;
  #sum = h("p.sum");
  #search = searchField("Filter by agent, group, command or message", {
    input: () => this.#change("q", this.#search.value),
  });
  #kinds = new Map(
    Object.entries(KINDS).map(([kind, title]) => [
      kind,
      h("button.chip", { type: "button", click: () => this.#toggle(kind) }, title),
    ]),
  );
  #later = /** @type {ReturnType<typeof setTimeout> | null} */ (null);
  #drawnAt = 0;

  /** @param {import("../store.js").Store} store */
  constructor(store) {
    this.#store = store;
    const close = () => go(to("timeline", null, this.#route?.query));
    this.#list = new TimelineList(
      "Timeline",
      ({ id }) => go(to("timeline", String(id), this.#route?.query)),
      close,
    );
    this.#pane = new EntryPane(close);
    this.element = h(
      "section.view.split",
      null,
      h("h1.unseen", { tabindex: -1 }, "Timeline"),
      h(
        "div.list",
        null,
        h(
          "div.heading",
          null,
          h("p.title", { "aria-hidden": "true" }, "Timeline"),
          h("p.hint", null, "Newest first, as far back as the server remembers."),
        ),
        h(
          "div.filters",
          null,
          this.#search,
          h(
            "div.chips",
            { role: "group", "aria-label": "Kinds of events" },
            ...this.#kinds.values(),
          ),
          this.#sum,
          exportMenu((format) => this.#export(format)),
        ),
        this.#list.element,
      ),
      this.#pane.element,
    );
  }

  /** @param {import("../router.js").Route} route */
  show(route) {
    const left = route.id === null && this.#pane.element.contains(document.activeElement);
    this.#route = route;
    if (document.activeElement !== this.#search) this.#search.value = route.query.get("q") ?? "";
    this.element.classList.toggle("detailed", route.id !== null);
    this.#list.setSelected(route.id);
    this.#draw();
    if (left) this.#list.focus();
  }

  hide() {
    this.#pane.show(null, false);
  }

  /** @param {import("../store.js").Change} change */
  update({ topics }) {
    if (!topics.has("timeline")) return;
    const wait = this.#search.value ? this.#drawnAt + CALM - performance.now() : 0;
    if (wait <= 0) this.#draw();
    else this.#later ??= setTimeout(() => this.#draw(), wait);
  }

  #shown() {
    const asked = (this.#route?.query.get("kind") ?? "").split(",");
    return Object.keys(KINDS).filter((kind) => asked.includes(kind));
  }

  /** @param {string} kind */
  #toggle(kind) {
    const shown = new Set(this.#shown());
    if (!shown.delete(kind)) shown.add(kind);
    this.#change("kind", [...shown].join(","));
  }

  /** @param {string} name @param {string} value */
  #change(name, value) {
    if (!this.#route) return;
    if (value) this.#route.query.set(name, value);
    else this.#route.query.delete(name);
    rewrite(this.#route);
    this.#draw();
  }

  #entries() {
    const kinds = this.#shown();
    const text = this.#search.value.trim().toLowerCase();
    return this.#store.timeline
      .newest()
      .filter(
        (entry) =>
          (!kinds.length || kinds.includes(kindOf(entry))) && (!text || mentions(entry, text)),
      );
  }

  #draw() {
    if (this.#later) clearTimeout(this.#later);
    this.#later = null;
    this.#drawnAt = performance.now();
    const kinds = this.#shown();
    for (const [kind, chip] of this.#kinds) {
      setAttribute(chip, "aria-pressed", kinds.includes(kind) ? "true" : "false");
    }
    const entries = this.#entries();
    this.#list.setEntries(entries);
    const { size } = this.#store.timeline;
    const all = entries.length === size;
    setText(
      this.#sum,
      all ? counted(size, "entry", "entries") : `${number(entries.length)} of ${number(size)}`,
    );
    const id = this.#route?.id ?? null;
    this.#pane.show(id === null ? null : this.#store.timeline.find(Number(id)), id !== null);
  }

  /** @param {import("../download.js").Format} format */
  #export(format) {
    const rows = this.#entries().map((entry) => ({
      ...{ at: entry.at, since: entry.since, type: entry.type, group: entry.group },
      text: h("span", null, ...whatOf(entry), " ", ...moreOf(entry)).textContent,
      commandId: entry.data.commandId ?? null,
      agents: format === "csv" ? entry.agents.size : [...entry.agents.keys()],
      ...{ events: entry.count, failures: entry.failures },
    }));
    download("timeline", format, EXPORTED, rows);
  }
}
