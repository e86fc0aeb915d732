// The fleet: its totals, and every agent in a table that can be filtered, sorted and chosen from.

import { allAgents } from "../api.js";
import { download } from "../download.js";
import { h, show } from "../dom.js";
import { Filter } from "../filter.js";
import { counted } from "../format.js";
import { Grid } from "../grid.js";
import { go, rewrite, to } from "../router.js";
import { AgentPane } from "./agent.js";
import { Chosen } from "./chosen.js";
import { Facets } from "./facets.js";
import { Filters, changed, toggled } from "./filters.js";
import { COLUMNS, EXPORTED, sort, sortOf } from "./agents-table.js";
import { forgetMany } from "./forget.js";
import { exportMenu } from "./menu.js";
import { afterPause, emptiness } from "./parts.js";
import { TimelineList } from "./timeline-list.js";
import { Totals } from "./totals.js";

/** @typedef {import("../fleet.js").Agent} Agent */

/** Milliseconds between two orders of a long table while much changes in it. */
const CALM = 250;

/** Entries of the panel beside the table. */
const LATEST = 200;

export class AgentsView {
  #store;
  #say;
  #query = new URLSearchParams();
  #route = /** @type {import("../router.js").Route | null} */ (null);
  #filter = new Filter(this.#query);
  #totals = new Totals((status) => this.#toggleStatus(status));
  #filters;
  #facets;
  #empty = h("div.nothing", { hidden: true });
  #emptyWhy = "";
  #grid;
  #chosenBar;
  /** @type {ReadonlySet<string>} */
  #chosen = new Set();
  #pane;
  #activity = new TimelineList("Latest events", (entry) => go(to("timeline", String(entry.id))));
  #aside;
  #lastSort = 0;
  #later = /** @type {ReturnType<typeof setTimeout> | null} */ (null);
  /** How many match; not said whenever the fleet changes. */
  #tellMatches = afterPause(() => this.#say(this.#filters.sum));

  /**
   * @param {import("../store.js").Store} store
   * @param {import("../actions.js").Actions} actions
   * @param {import("./send.js").SendDialog} send
   * @param {(text: string) => void} say
   */
  constructor(store, actions, send, say) {
    this.#store = store;
    this.#say = say;
    this.#filters = new Filters({
      change: (mutation) => this.#change(mutation),
      facets: () => this.#toggleFacets(),
      save: (format) => void this.#export(format, this.#matching()),
    });
    this.#facets = new Facets(
      (name, value) => this.#change(toggled(name, value)),
      () => this.#toggleFacets(),
    );
    this.#grid = new Grid({
      label: "Agents",
      kind: "agents",
      columns: COLUMNS,
      key: (agent) => agent.agentId,
      rowClass: (agent) => agent.status.toLowerCase(),
      open: (agent) => go(to("agents", agent.agentId, this.#query)),
      close: () => this.#close(),
      sort: (key) => this.#sortBy(key),
      selects: ({ agentId }) => `Choose ${agentId}`,
      chose: (chosen) => this.#chose(chosen),
    });
    this.#chosenBar = new Chosen(
      {
        send: () => send.open({ level: "several", agentIds: this.#chosenAgents().map(idOf) }),
        forget: () => void forgetMany(actions, this.#chosenAgents()),
        clear: () => this.#grid.clearSelection(),
      },
      exportMenu((format) => void this.#export(format, this.#chosenAgents())),
    );
    this.#pane = new AgentPane(store, actions, send, () => this.#close());
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
      this.#facets.element,
      h(
        "div.list",
        null,
        this.#totals.element,
        this.#filters.element,
        h("div.fill", null, this.#grid.element, this.#empty, this.#chosenBar.element),
      ),
      this.#pane.element,
      this.#aside,
    );
    new ResizeObserver(() => this.#sawFacets()).observe(this.#facets.element);
  }

  /** @param {import("../router.js").Route} route */
  show(route) {
    this.#route = route;
    this.#query = route.query;
    const left = route.id === null && this.#pane.element.contains(document.activeElement);
    this.#filters.take(route.query);
    this.element.classList.toggle("detailed", route.id !== null);
    show(this.#aside, route.id === null);
    this.#grid.setSelected(route.id);
    this.#pane.show(route.id);
    this.#list();
    this.#activity.setEntries(this.#store.timeline.newest().slice(0, LATEST));
    if (left) this.#grid.element.focus();
  }

  hide() {
    this.#pane.show(null);
  }

  #close() {
    if (this.#route?.id) go(to("agents", null, this.#query));
  }

  /** @param {import("../store.js").Change} change */
  update(change) {
    const { topics } = change;
    if (topics.has("agents") || topics.has("connection")) {
      this.#counts();
      this.#listSoon();
    }
    if (topics.has("session")) this.#chose(this.#chosen);
    if (topics.has("timeline") && this.#aside.offsetParent) {
      this.#activity.setEntries(this.#store.timeline.newest().slice(0, LATEST));
    }
    this.#pane.update(change);
  }

  // What is asked for

  /** @param {import("./filters.js").Mutation} mutation */
  #change(mutation) {
    if (!this.#route) return;
    mutation(this.#query);
    rewrite(this.#route);
    this.#grid.toTop();
    this.#list();
    this.#tellMatches();
  }

  /** @param {import("../fleet.js").Status | null} status */
  #toggleStatus(status) {
    const shown = new Set(status ? this.#filter.statuses : []);
    if (status && !shown.delete(status)) shown.add(status);
    this.#change(changed("status", [...shown].join(",")));
  }

  get #sort() {
    return sortOf(this.#query.get("sort"));
  }

  /** @param {string} key */
  #sortBy(key) {
    const descending = this.#sort.key === key && !this.#sort.descending;
    this.#change(changed("sort", `${descending ? "-" : ""}${key}`));
  }

  #toggleFacets() {
    this.element.dataset.facets = this.#facets.inSight ? "closed" : "open";
    this.#sawFacets();
    if (this.#facets.inSight) this.#facets.element.querySelector("button")?.focus();
    else this.#filters.focusFacets();
  }

  /** They have come into sight, or gone. */
  #sawFacets() {
    const { inSight } = this.#facets;
    this.#filters.facets(inSight);
    if (inSight) this.#listSoon();
  }

  // What there is

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
    this.#filter = new Filter(this.#query);
    const { agents, groups } = this.#store;
    const spreading = this.#facets.inSight;
    const { found, spread } = this.#filter.apply(agents.values(), spreading);
    if (spreading) this.#facets.show(spread, this.#filter);
    this.#grid.setSort(this.#sort.key, this.#sort.descending);
    this.#grid.setItems(sort(found, this.#sort));
    this.#filters.show(this.#filter, found.length, agents.size, groups.keys());
    this.#counts();
    this.#emptiness(found.length === 0);
  }

  #matching() {
    return sort(this.#filter.apply(this.#store.agents.values(), false).found, this.#sort);
  }

  #counts() {
    const { totals, agents } = this.#store;
    this.#totals.show(totals, agents.size, this.#filter.statuses);
  }

  /** @param {boolean} empty */
  #emptiness(empty) {
    const { loaded, state } = this.#store.connection;
    const filtered = this.#filter.any && loaded;
    const why = !empty ? "" : filtered ? "filtered" : loaded ? "nobody" : state;
    show(this.#empty, empty);
    show(this.#grid.element, !empty);
    if (why === this.#emptyWhy) return;
    this.#emptyWhy = why;
    this.#empty.replaceChildren(WHY_EMPTY[why]?.() ?? "");
  }

  // What is chosen

  /** @param {ReadonlySet<string>} chosen */
  #chose(chosen) {
    this.#chosen = chosen;
    this.element.classList.toggle("choosing", chosen.size > 0);
    this.#chosenBar.show(chosen.size, this.#store.permissions.operates);
  }

  #chosenAgents() {
    return this.#matching().filter(({ agentId }) => this.#chosen.has(agentId));
  }

  /** @param {import("../download.js").Format} format @param {Agent[]} agents in order */
  async #export(format, agents) {
    try {
      // With everything that the server knows of them, which is more than a table shows.
      const all = new Map((await allAgents()).map((agent) => [agent.agentId, agent]));
      const rows = agents.flatMap(({ agentId }) => all.get(agentId) ?? []);
      download("agents", format, EXPORTED, rows);
      this.#say(`${counted(rows.length, "agent")} exported`);
    } catch (error) {
      this.#say(`Nothing was exported. ${/** @type {Error} */ (error).message}`);
    }
  }
}

/** @param {Agent} agent */
const idOf = ({ agentId }) => agentId;

/** @type {Record<string, () => Node>} */
const WHY_EMPTY = {
  filtered: () => emptiness("No agent matches", "Take back a filter, or look for another word."),
  nobody: () =>
    emptiness(
      "No agent has registered yet",
      "As soon as one does, it appears here by itself. An agent registers with a ",
      h("code", null, "POST"),
      " to ",
      h("code", null, new URL("api/v1/agents/register", document.baseURI).href),
    ),
  connecting: () => emptiness("Reading the fleet …", "One moment."),
  paused: () => emptiness("Nothing is known yet", "The fleet is read once somebody has signed in."),
  lost: () => emptiness("Nothing is known yet", "The fleet is read as soon as the server answers."),
};
