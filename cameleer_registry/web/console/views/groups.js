// Groups, and how many of each are live, stale and dead.

import { download } from "../download.js";
import { h, setText, show } from "../dom.js";
import { counted, number, plain } from "../format.js";
import { Grid } from "../grid.js";
import { natural } from "../natural.js";
import { go, rewrite, to } from "../router.js";
import { STATUSES } from "../fleet.js";
import { exportMenu } from "./menu.js";
import { emptiness, groupLink, searchField, word } from "./parts.js";

/** @typedef {import("../fleet.js").Totals & {group: string, versions: [string, number][]}} Group */

/** Milliseconds between two looks through a large fleet while much changes in it. */
const CALM = 500;

/** @type {Record<string, (a: Group, b: Group) => number>} the trouble first, where there is any */
const ORDERS = {
  group: () => 0,
  share: (a, b) => a.LIVE / size(a) - b.LIVE / size(b),
  agents: (a, b) => size(b) - size(a),
  live: (a, b) => b.LIVE - a.LIVE,
  stale: (a, b) => b.STALE - a.STALE,
  dead: (a, b) => b.DEAD - a.DEAD,
  connected: (a, b) => b.connected - a.connected,
  versions: (a, b) => b.versions.length - a.versions.length,
};

const EXPORTED = ["group", "agents", "LIVE", "STALE", "DEAD", "connected", "versions"];

export class GroupsView {
  #store;
  #send;
  #route = /** @type {import("../router.js").Route | null} */ (null);
  #sum = h("p.sum");
  #search = searchField("Filter by name", {
    input: () => this.#change("q", this.#search.value),
  });
  #grid;
  #empty = h("div.nothing");
  #later = /** @type {ReturnType<typeof setTimeout> | null} */ (null);
  #drawnAt = 0;

  /**
   * @param {import("../store.js").Store} store
   * @param {import("./send.js").SendDialog} send
   */
  constructor(store, send) {
    this.#store = store;
    this.#send = send;
    this.#grid = new Grid({
      label: "Groups",
      kind: "groups",
      columns: this.#columns(),
      key: (/** @type {Group} */ group) => group.group,
      open: ({ group }) => go(to("agents", null, { group })),
      sort: (key) => this.#sortBy(key),
    });
    this.element = h(
      "section.view",
      null,
      h(
        "div.list",
        null,
        h("div.heading", null, h("h1", { tabindex: -1 }, "Groups")),
        h(
          "div.filters",
          null,
          this.#search,
          this.#sum,
          exportMenu((format) => this.#export(format)),
        ),
        h("div.fill", null, this.#grid.element, this.#empty),
      ),
    );
  }

  /** @param {import("../router.js").Route} route */
  show(route) {
    this.#route = route;
    if (document.activeElement !== this.#search) this.#search.value = route.query.get("q") ?? "";
    this.#draw();
  }

  hide() {}

  /** @param {import("../store.js").Change} change */
  update({ topics }) {
    if (topics.has("session")) this.#draw();
    if (!topics.has("agents")) return;
    const wait = this.#drawnAt + CALM - performance.now();
    if (this.#store.agents.size < 500 || wait <= 0) this.#draw();
    else this.#later ??= setTimeout(() => this.#draw(), wait);
  }

  /** @param {string} name @param {string} value */
  #change(name, value) {
    if (!this.#route) return;
    if (value) this.#route.query.set(name, value);
    else this.#route.query.delete(name);
    rewrite(this.#route);
    this.#draw();
  }

  get #sort() {
    const asked = this.#route?.query.get("sort") ?? "group";
    const key = asked.replace(/^-/, "");
    return Object.hasOwn(ORDERS, key)
      ? { key, descending: asked.startsWith("-") }
      : { key: "group", descending: false };
  }

  /** @param {string} key */
  #sortBy(key) {
    const descending = this.#sort.key === key && !this.#sort.descending;
    this.#change("sort", `${descending ? "-" : ""}${key}`);
  }

  /** Those that match, in order. @returns {Group[]} */
  #rows() {
    const text = this.#search.value.trim().toLowerCase();
    const versions = this.#versions();
    const rows = [...this.#store.groups]
      .filter(([group]) => group.toLowerCase().includes(text))
      .map(([group, totals]) => ({ group, ...totals, versions: versions.get(group) ?? [] }));
    const { key, descending } = this.#sort;
    const by = ORDERS[key];
    const sign = descending ? -1 : 1;
    const byName = key === "group" ? sign : 1;
    return rows.sort((a, b) => sign * by(a, b) || byName * natural(a.group, b.group));
  }

  /** The versions in each group, and how many agents have each, most first. */
  #versions() {
    /** @type {Map<string, Map<string, number>>} */
    const groups = new Map();
    for (const { group, version } of this.#store.agents.values()) {
      let counts = groups.get(group);
      if (!counts) groups.set(group, (counts = new Map()));
      const name = version ?? "–";
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return new Map(
      [...groups].map(([group, counts]) => [group, [...counts].sort((a, b) => b[1] - a[1])]),
    );
  }

  #draw() {
    if (this.#later) clearTimeout(this.#later);
    this.#later = null;
    this.#drawnAt = performance.now();
    const rows = this.#rows();
    const { size: whole } = this.#store.groups;
    const all = rows.length === whole;
    setText(
      this.#sum,
      all ? counted(whole, "group") : `${number(rows.length)} of ${number(whole)}`,
    );
    show(this.#grid.element, rows.length > 0);
    show(this.#empty, rows.length === 0);
    const why = whole ? "filtered" : "none";
    if (this.#empty.dataset.why !== why) {
      this.#empty.dataset.why = why;
      this.#empty.replaceChildren(WHY_EMPTY[why]());
    }
    this.element.classList.toggle("watching", !this.#store.permissions.operates);
    this.#grid.setSort(this.#sort.key, this.#sort.descending);
    this.#grid.setItems(rows);
  }

  /** @returns {import("../grid.js").Column<Group>[]} */
  #columns() {
    return [
      { key: "group", title: "Group", sortable: true, cell: ({ group }) => [groupLink(group)] },
      { key: "share", title: "Share", sortable: true, cell: (group) => [share(group)] },
      { key: "agents", title: "Agents", sortable: true, cell: (group) => [count(size(group), "")] },
      ...STATUSES.map((status) => ({
        key: status.toLowerCase(),
        title: word(status),
        sortable: true,
        cell: (/** @type {Group} */ group) => [count(group[status], status.toLowerCase())],
      })),
      {
        key: "connected",
        title: "Streams",
        sortable: true,
        cell: ({ connected }) => [count(connected, "")],
      },
      { key: "versions", title: "Versions", sortable: true, cell: (group) => [versionsOf(group)] },
      {
        key: "act",
        title: "Send",
        cell: ({ group }) => [
          h(
            "button.quiet.small",
            {
              type: "button",
              tabindex: -1,
              "aria-label": `Send command to group ${group}`,
              click: () => this.#send.open({ level: "group", group }),
            },
            "Send",
          ),
        ],
      },
    ];
  }

  /** @param {import("../download.js").Format} format */
  #export(format) {
    const rows = this.#rows().map(({ versions, ...group }) => ({
      ...group,
      agents: size({ ...group, versions }),
      versions:
        format === "csv" ? versions.map(([name]) => name).join(" ") : Object.fromEntries(versions),
    }));
    download("groups", format, EXPORTED, rows);
  }
}

/** @type {Record<string, () => Node>} */
const WHY_EMPTY = {
  filtered: () => emptiness("No group matches", "Another word may."),
  none: () =>
    emptiness("There is no group yet", "A group is there as soon as an agent declares it."),
};

/** @param {Group} group */
const size = ({ LIVE, STALE, DEAD }) => LIVE + STALE + DEAD;

/** @param {number} value @param {string} tone */
const count = (value, tone) =>
  h(`span.amount.${value ? tone || "some" : "none"}`, null, number(value));

/** @param {Group} group */
function share(group) {
  const bar = h("div.share", { "aria-hidden": "true" });
  for (const status of STATUSES) {
    if (!group[status]) continue;
    const part = h(`i.${status.toLowerCase()}`);
    part.style.flexGrow = String(group[status]);
    bar.append(part);
  }
  return bar;
}

/** @param {Group} group */
function versionsOf({ versions }) {
  const text = versions.map(([name, many]) => `${plain(name)} (${number(many)})`);
  return h("span", { title: text.slice(0, 20).join("\n") }, text.slice(0, 6).join(", "));
}
