// The fleet: its totals, and every agent in a table that can be filtered and sorted.

import { h, setAttribute, setText, show } from "../dom.js";
import { counted, number, percent, plain } from "../format.js";
import { Grid } from "../grid.js";
import { go, rewrite, to } from "../router.js";
import { STATUSES } from "../store.js";
import { AgentPane } from "./agent.js";
import {
  afterPause,
  ago,
  agentLink,
  badge,
  emptiness,
  groupLink,
  searchField,
  stream,
  word,
} from "./parts.js";
import { TimelineList } from "./timeline.js";

/** @typedef {import("../store.js").Agent} Agent */

/** @type {import("../grid.js").Column<Agent>[]} */
const COLUMNS = [
  { key: "status", title: "Status", sortable: true, cell: (agent) => [badge(agent.status)] },
  {
    key: "agentId",
    title: "Agent",
    sortable: true,
    cell: ({ agentId, name }) => [
      agentLink(agentId, true),
      name !== agentId && h("span.name", { title: plain(name) }, plain(name)),
    ],
  },
  { key: "group", title: "Group", sortable: true, cell: (agent) => [groupLink(agent.group)] },
  {
    key: "version",
    title: "Version",
    sortable: true,
    cell: ({ version }) => [version ? h("span", { title: plain(version) }, plain(version)) : "–"],
  },
  { key: "connected", title: "Stream", sortable: true, cell: (agent) => [stream(agent.connected)] },
  {
    key: "statusChangedAt",
    title: "Since",
    sortable: true,
    cell: (agent) => [ago(agent.statusChangedAt, "")],
  },
];

/** What stands first when a column is sorted: trouble first, and what changed last. */
const RANK = { DEAD: 0, STALE: 1, LIVE: 2 };

/** @type {Record<string, (a: Agent, b: Agent) => number>} */
const ORDERS = {
  status: (a, b) => RANK[a.status] - RANK[b.status],
  agentId: (a, b) => order(a.agentId, b.agentId),
  group: (a, b) => order(a.group, b.group),
  version: (a, b) => order(a.version ?? "", b.version ?? ""),
  connected: (a, b) => Number(a.connected) - Number(b.connected),
  statusChangedAt: (a, b) => order(b.statusChangedAt, a.statusChangedAt),
};

/** @param {string} a @param {string} b */
const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** Milliseconds between two orders of a long table while much changes in it. */
const CALM = 250;

export class AgentsView {
  #store;
  #say;
  #route = /** @type {import("../router.js").Route | null} */ (null);
  #tiles = new Map(STATUSES.map((status) => [status, this.#tile(status)]));
  #all = tile("all", "All agents", () => this.#change("status", ""));
  #share = h(
    "div.share",
    { "aria-hidden": "true" },
    ...STATUSES.map((s) => h(`i.${s.toLowerCase()}`)),
  );
  #search = searchField("Filter by id, name, version or group", {
    input: () => this.#change("q", this.#search.value),
  });
  #groups = /** @type {HTMLSelectElement} */ (
    h("select", { "aria-label": "Group", change: () => this.#change("group", this.#groups.value) })
  );
  #groupNames = "";
  #sum = h("p.sum");
  #clear = h(
    "button.quiet",
    { type: "button", click: () => this.#clearFilters() },
    "Clear filters",
  );
  #empty = h("div.nothing", { hidden: true });
  #emptyWhy = "";
  #grid;
  #pane;
  #activity = new TimelineList("Latest events");
  #aside;
  #lastSort = 0;
  #later = /** @type {ReturnType<typeof setTimeout> | null} */ (null);
  /** How many match; not said whenever the fleet changes. */
  #tellMatches = afterPause(() => this.#say(this.#sum.textContent));

  /**
   * @param {import("../store.js").Store} store
   * @param {import("./send.js").SendDialog} send
   * @param {(text: string) => void} say
   */
  constructor(store, send, say) {
    this.#store = store;
    this.#say = say;
    this.#grid = new Grid({
      label: "Agents",
      kind: "agents",
      columns: COLUMNS,
      key: (agent) => agent.agentId,
      rowClass: (agent) => agent.status.toLowerCase(),
      open: (agent) => go(to("agents", agent.agentId, this.#route?.query)),
      close: () => this.#close(),
      sort: (key) => this.#sortBy(key),
    });
    this.#pane = new AgentPane(store, send, () => this.#close());
    this.#aside = h(
      "aside.activity",
      { "aria-labelledby": "activity" },
      h("h2", { id: "activity" }, "Latest events"),
      this.#activity.element,
    );
    this.element = h(
      "section.view.split",
      null,
      h("h1.unseen", { tabindex: -1 }, "Agents"),
      h(
        "div.list",
        null,
        h(
          "div.totals",
          { role: "group", "aria-label": "Filter by status" },
          this.#all.element,
          ...[...this.#tiles.values()].map((one) => one.element),
          this.#share,
        ),
        h("div.filters", null, this.#search, this.#groups, this.#sum, this.#clear),
        h("div.fill", null, this.#grid.element, this.#empty),
      ),
      this.#pane.element,
      this.#aside,
    );
  }

  /** @param {import("../router.js").Route} route */
  show(route) {
    this.#route = route;
    const { query } = route;
    const left = route.id === null && this.#pane.element.contains(document.activeElement);
    if (document.activeElement !== this.#search) this.#search.value = query.get("q") ?? "";
    this.element.classList.toggle("detailed", route.id !== null);
    show(this.#aside, route.id === null);
    this.#grid.setSelected(route.id);
    this.#pane.show(route.id);
    this.#list();
    this.#counts();
    this.#activity.setEntries(this.#store.timeline.newest().slice(0, 200));
    if (left) this.#grid.element.focus();
  }

  hide() {
    this.#pane.show(null);
  }

  #close() {
    if (this.#route?.id) go(to("agents", null, this.#route.query));
  }

  /** @param {import("../store.js").Change} change */
  update(change) {
    const { topics } = change;
    if (topics.has("agents") || topics.has("connection")) {
      this.#counts();
      this.#listSoon();
    }
    if (topics.has("timeline") && this.#aside.offsetParent) {
      this.#activity.setEntries(this.#store.timeline.newest().slice(0, 200));
    }
    this.#pane.update(change);
  }

  /** @param {import("../store.js").Status} status */
  #tile(status) {
    return tile(status.toLowerCase(), word(status), () => {
      const shown = new Set(this.#statuses());
      if (!shown.delete(status)) shown.add(status);
      this.#change("status", [...shown].join(","));
    });
  }

  #statuses() {
    const asked = (this.#route?.query.get("status") ?? "").toUpperCase().split(",");
    return STATUSES.filter((status) => asked.includes(status));
  }

  /** @returns {{key: string, descending: boolean}} */
  #sort() {
    const asked = this.#route?.query.get("sort") ?? "agentId";
    const key = asked.replace(/^-/, "");
    return Object.hasOwn(ORDERS, key)
      ? { key, descending: asked.startsWith("-") }
      : { key: "agentId", descending: false };
  }

  /** @param {string} key */
  #sortBy(key) {
    const now = this.#sort();
    const descending = now.key === key && !now.descending;
    this.#change("sort", `${descending ? "-" : ""}${key}`);
  }

  /** @param {string} name @param {string} value */
  #change(name, value) {
    if (!this.#route) return;
    if (value) this.#route.query.set(name, value);
    else this.#route.query.delete(name);
    rewrite(this.#route);
    this.#grid.toTop();
    this.#list();
    this.#counts();
    this.#tellMatches();
  }

  #clearFilters() {
    this.#search.value = "";
    for (const name of ["q", "status", "group"]) this.#route?.query.delete(name);
    this.#change("group", "");
    this.#search.focus();
  }

  /** Order a long table again, but not at every frame of a storm. */
  #listSoon() {
    const wait = this.#lastSort + CALM - performance.now();
    if (this.#store.agents.size < 500 || wait <= 0) this.#list();
    else this.#later ??= setTimeout(() => this.#list(), wait);
  }

  #list() {
    if (this.#later) clearTimeout(this.#later);
    this.#later = null;
    this.#lastSort = performance.now();
    const { key, descending } = this.#sort();
    const agents = this.#matching().sort(compare(ORDERS[key], descending));
    this.#grid.setSort(key, descending);
    this.#grid.setItems(agents);
    const { size } = this.#store.agents;
    const all = agents.length === size;
    setText(
      this.#sum,
      all ? counted(size, "agent") : `${number(agents.length)} of ${number(size)}`,
    );
    show(this.#clear, this.#filtered());
    this.#groupChoices([...this.#store.groups.keys()].sort());
    this.#emptiness(agents.length === 0);
  }

  #filtered() {
    return ["q", "status", "group"].some((name) => this.#route?.query.get(name));
  }

  #matching() {
    const query = this.#route?.query ?? new URLSearchParams();
    const text = (query.get("q") ?? "").trim().toLowerCase();
    const group = query.get("group") ?? "";
    const statuses = this.#statuses();
    const found = [];
    for (const agent of this.#store.agents.values()) {
      if (statuses.length && !statuses.includes(agent.status)) continue;
      if (group && agent.group !== group) continue;
      if (text && !mentions(agent, text)) continue;
      found.push(agent);
    }
    return found;
  }

  /** @param {boolean} empty */
  #emptiness(empty) {
    const { loaded, state } = this.#store.connection;
    const why = !empty ? "" : this.#filtered() && loaded ? "filtered" : loaded ? "nobody" : state;
    show(this.#empty, empty);
    show(this.#grid.element, !empty);
    if (why === this.#emptyWhy) return;
    this.#emptyWhy = why;
    this.#empty.replaceChildren(WHY_EMPTY[why]?.() ?? "");
  }

  #counts() {
    const { totals, agents } = this.#store;
    const chosen = this.#statuses();
    this.#all.show(agents.size, "", chosen.length === 0);
    for (const [status, one] of this.#tiles) {
      one.show(totals[status], percent(totals[status], agents.size), chosen.includes(status));
    }
    this.#all.note(counted(totals.connected, "stream"));
    STATUSES.forEach((status, index) => {
      const part = /** @type {HTMLElement} */ (this.#share.children[index]);
      part.style.flexGrow = String(totals[status]);
      show(part, totals[status] > 0);
    });
  }

  /** @param {string[]} names */
  #groupChoices(names) {
    const chosen = this.#route?.query.get("group") ?? "";
    if (chosen && !names.includes(chosen)) names.unshift(chosen);
    const joined = names.join("\n");
    if (joined !== this.#groupNames || !this.#groups.options.length) {
      this.#groupNames = joined;
      const choices = names.map((name) => h("option", { value: name }, name));
      this.#groups.replaceChildren(h("option", { value: "" }, "All groups"), ...choices);
    }
    this.#groups.value = chosen;
  }
}

/** @type {Record<string, () => Node>} */
const WHY_EMPTY = {
  filtered: () => emptiness("No agent matches", "Another word, another status or group may."),
  nobody: () =>
    emptiness(
      "No agent has registered yet",
      "As soon as one does, it appears here by itself. An agent registers with a ",
      h("code", null, "POST"),
      " to ",
      h("code", null, new URL("api/v1/agents/register", document.baseURI).href),
    ),
  connecting: () => emptiness("Reading the fleet …", "One moment."),
  lost: () => emptiness("Nothing is known yet", "The fleet is read as soon as the server answers."),
};

/** @param {Agent} agent @param {string} text in lower case */
function mentions({ agentId, name, version, group }, text) {
  return (
    agentId.toLowerCase().includes(text) ||
    name.toLowerCase().includes(text) ||
    group.toLowerCase().includes(text) ||
    (version !== null && version.toLowerCase().includes(text))
  );
}

/**
 * Compare by a column, and by id where that makes no difference.
 * @param {(a: Agent, b: Agent) => number} by
 * @param {boolean} descending
 */
function compare(by, descending) {
  const sign = descending ? -1 : 1;
  return (/** @type {Agent} */ a, /** @type {Agent} */ b) =>
    sign * by(a, b) || order(a.agentId, b.agentId);
}

/**
 * A total that is a filter as well.
 * @param {string} kind
 * @param {string} title
 * @param {() => void} toggle
 */
function tile(kind, title, toggle) {
  const count = h("span.count", null, "0");
  const small = h("span.note");
  const element = h(
    `button.tile.${kind}`,
    { type: "button", "aria-pressed": "false", click: toggle },
    h("span.title", null, h("i.sign", { "aria-hidden": "true" }), title),
    count,
    small,
  );
  return {
    element,
    /** @param {number} value @param {string} share @param {boolean} pressed */
    show(value, share, pressed) {
      setText(count, number(value));
      if (share) setText(small, share);
      setAttribute(element, "aria-pressed", pressed ? "true" : "false");
      element.classList.toggle("none", value === 0);
    },
    /** @param {string} text */
    note: (text) => setText(small, text),
  };
}
