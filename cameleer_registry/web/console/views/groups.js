// Groups, and how many of each are live, stale and dead.

import { h, setText, show } from "../dom.js";
import { counted, number } from "../format.js";
import { Grid } from "../grid.js";
import { go, to } from "../router.js";
import { STATUSES } from "../store.js";
import { emptiness, groupLink, word } from "./parts.js";

/** @typedef {import("../store.js").Totals & {group: string}} Group */

export class GroupsView {
  #store;
  #sum = h("p.sum");
  #grid;
  #empty = h(
    "div.nothing",
    null,
    emptiness("There is no group yet", "A group is there as soon as an agent declares it."),
  );

  /**
   * @param {import("../store.js").Store} store
   * @param {import("./send.js").SendDialog} send
   */
  constructor(store, send) {
    this.#store = store;
    this.#grid = new Grid({
      label: "Groups",
      kind: "groups",
      columns: columns((group) => send.open({ level: "group", group })),
      key: (group) => group.group,
      open: ({ group }) => go(to("agents", null, { group })),
    });
    this.element = h(
      "section.view",
      null,
      h(
        "div.list",
        null,
        h("div.heading", null, h("h1", { tabindex: -1 }, "Groups"), this.#sum),
        h("div.fill", null, this.#grid.element, this.#empty),
      ),
    );
  }

  show() {
    this.#draw();
  }

  hide() {}

  /** @param {import("../store.js").Change} change */
  update({ topics }) {
    if (topics.has("agents")) this.#draw();
  }

  #draw() {
    const groups = [...this.#store.groups].map(([group, totals]) => ({ group, ...totals }));
    groups.sort((a, b) => (a.group < b.group ? -1 : 1));
    setText(this.#sum, counted(groups.length, "group"));
    show(this.#grid.element, groups.length > 0);
    show(this.#empty, groups.length === 0);
    this.#grid.setItems(groups);
  }
}

/**
 * @param {(group: string) => void} send
 * @returns {import("../grid.js").Column<Group>[]}
 */
function columns(send) {
  return [
    { key: "group", title: "Group", cell: ({ group }) => [groupLink(group)] },
    { key: "share", title: "Share", cell: (group) => [share(group)] },
    ...STATUSES.map((status) => ({
      key: status.toLowerCase(),
      title: word(status),
      cell: (/** @type {Group} */ group) => [count(group[status], status.toLowerCase())],
    })),
    { key: "connected", title: "Streams", cell: ({ connected }) => [count(connected, "")] },
    {
      key: "act",
      title: "Command",
      cell: ({ group }) => [
        h(
          "button.quiet.small",
          {
            type: "button",
            tabindex: -1,
            "aria-label": `Send command to group ${group}`,
            click: () => send(group),
          },
          "Send",
        ),
      ],
    },
  ];
}

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
