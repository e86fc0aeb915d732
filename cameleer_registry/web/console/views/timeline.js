// What happened, newest first, as far back as this page was open or the server remembers.

import { h, setAttribute, setText, show } from "../dom.js";
import { counted, moment, number, plain, timeOfDay } from "../format.js";
import { Grid } from "../grid.js";
import { rewrite, to } from "../router.js";
import { agents, agentLink, emptiness, groupLink, searchField, targetText, word } from "./parts.js";

/** @typedef {import("../timeline.js").Entry} Entry */
/** @typedef {import("../dom.js").Child} Child */

const KINDS = /** @type {Record<string, string>} */ ({
  agents: "Agents",
  streams: "Streams",
  commands: "Commands",
});

/** @type {Record<string, {kind: string, tone: (entry: Entry) => string, text: (entry: Entry) => Child[]}>} */
const TYPES = {
  "agent-registered": {
    kind: "agents",
    tone: () => "live",
    text: (entry) => [...whom(entry), entry.data.resumed ? " registered again" : " registered"],
  },
  "agent-status": {
    kind: "agents",
    tone: ({ data }) => data.to.toLowerCase(),
    text: (entry) => [...whom(entry), ` went ${word(entry.data.to).toLowerCase()}`],
  },
  "agent-removed": {
    kind: "agents",
    tone: () => "plain",
    text: (entry) => [...whom(entry), entry.count > 1 ? " were forgotten" : " was forgotten"],
  },
  "stream-opened": {
    kind: "streams",
    tone: () => "plain",
    text: (entry) => [...whom(entry), " opened ", entry.count > 1 ? "their streams" : "its stream"],
  },
  "stream-closed": {
    kind: "streams",
    tone: ({ data }) => (data.reason === "slow-consumer" ? "stale" : "plain"),
    text: (entry) => [
      "stream of ",
      ...whom(entry),
      ` ended: ${CLOSED[entry.data.reason] ?? entry.data.reason}`,
    ],
  },
  "stream-conflict": {
    kind: "streams",
    tone: () => "dead",
    text: (entry) => ["several processes share the id of ", ...whom(entry)],
  },
  "command-issued": {
    kind: "commands",
    tone: () => "accent",
    text: ({ data }) => [
      commandLink(data),
      ` sent to ${targetText(data.target)}: `,
      data.targetCount ? agents(data.targetCount) : "nobody to reach",
      data.skippedCount > 0 && `, ${number(data.skippedCount)} skipped`,
    ],
  },
  "delivery-acknowledged": {
    kind: "commands",
    tone: ({ failures }) => (failures ? "dead" : "live"),
    text: (entry) => [
      commandLink(entry.data),
      " acknowledged by ",
      ...whom(entry),
      entry.failures > 0 &&
        (entry.count > 1 ? `, ${counted(entry.failures, "failure")}` : ", with a failure"),
    ],
  },
  "delivery-expired": {
    kind: "commands",
    tone: () => "stale",
    text: (entry) => [
      commandLink(entry.data),
      " expired for ",
      ...whom(entry),
      entry.data.reason === "agent-removed" && ", forgotten meanwhile",
    ],
  },
};

/** @type {Record<string, string>} */
const CLOSED = {
  "client-gone": "the agent went away",
  replaced: "it opened a newer one",
  "agent-removed": "the agent was forgotten",
  "slow-consumer": "it did not read",
  "node-lost": "its node was lost",
  shutdown: "the server shut down",
};

/** @param {{commandId: string, type: string}} data */
const commandLink = ({ commandId, type }) => h("a", { href: to("commands", commandId) }, type);

/** One agent by its id; several by their number and the first of them. @param {Entry} entry */
function whom({ count, agentIds, group }) {
  if (count === 1 && agentIds.length === 1) return [agentLink(agentIds[0])];
  const first = agentIds.slice(0, 2).join(", ");
  const where = group ? [" of ", groupLink(group)] : [];
  return [h("b", { title: `${first} …` }, agents(count)), ...where];
}

/** A list of entries. */
export class TimelineList {
  #grid;

  /** @param {string} label */
  constructor(label) {
    this.#grid = new Grid({
      label,
      kind: "timeline",
      columns: [
        {
          key: "at",
          title: "Time",
          cell: ({ at }) => [h("time", { datetime: at, title: moment(at) }, timeOfDay(at))],
        },
        {
          key: "what",
          title: "What happened",
          cell: (entry) => [
            h(`i.dot.${TYPES[entry.type].tone(entry)}`, { "aria-hidden": "true" }),
            h("span.event", null, ...TYPES[entry.type].text(entry)),
          ],
        },
      ],
      key: (/** @type {Entry} */ entry) => String(entry.id),
    });
    this.element = h(
      "div.fill",
      null,
      this.#grid.element,
      h(
        "div.nothing",
        null,
        emptiness(
          "Nothing has happened yet",
          "What agents and commands do appears here as it happens.",
        ),
      ),
    );
  }

  /** @param {Entry[]} entries newest first */
  setEntries(entries) {
    show(this.#grid.element, entries.length > 0);
    show(/** @type {HTMLElement} */ (this.element.lastChild), entries.length === 0);
    this.#grid.setItems(entries);
  }
}

export class TimelineView {
  #store;
  #route = /** @type {import("../router.js").Route | null} */ (null);
  #list = new TimelineList("Timeline");
  #sum = h("p.sum");
  #search = searchField("Filter by agent, group or command", {
    input: () => this.#change("q", this.#search.value),
  });
  #kinds = new Map(
    Object.entries(KINDS).map(([kind, title]) => [
      kind,
      h("button.chip", { type: "button", click: () => this.#toggle(kind) }, title),
    ]),
  );

  /** @param {import("../store.js").Store} store */
  constructor(store) {
    this.#store = store;
    this.element = h(
      "section.view",
      null,
      h(
        "div.list",
        null,
        h(
          "div.heading",
          null,
          h("h1", { tabindex: -1 }, "Timeline"),
          h("p.hint", null, "What happened lately, newest first, as far as the server remembers."),
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
        ),
        this.#list.element,
      ),
    );
  }

  /** @param {import("../router.js").Route} route */
  show(route) {
    this.#route = route;
    this.#search.value = route.query.get("q") ?? "";
    this.#draw();
  }

  hide() {}

  /** @param {import("../store.js").Change} change */
  update({ topics }) {
    if (topics.has("timeline")) this.#draw();
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

  #draw() {
    const kinds = this.#shown();
    for (const [kind, chip] of this.#kinds) {
      setAttribute(chip, "aria-pressed", kinds.includes(kind) ? "true" : "false");
    }
    const text = this.#search.value.trim().toLowerCase();
    const all = this.#store.timeline.newest();
    const entries = all.filter(
      (entry) =>
        (!kinds.length || kinds.includes(TYPES[entry.type].kind)) &&
        (!text || words(entry).toLowerCase().includes(text)),
    );
    this.#list.setEntries(entries);
    const whole = counted(all.length, "entry", "entries");
    const unfiltered = entries.length === all.length;
    setText(this.#sum, unfiltered ? whole : `${number(entries.length)} of ${number(all.length)}`);
  }
}

/** What an entry can be found by. @param {Entry} entry */
function words({ type, group, agentIds, data }) {
  const { name, commandId, target } = data;
  return [
    type,
    ...agentIds,
    group,
    name && plain(name),
    data.type,
    commandId,
    target && targetText(target),
  ]
    .filter(Boolean)
    .join(" ");
}
