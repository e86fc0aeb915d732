// The nodes that share the registry, and those that have ended within a day.

import { h, setText, show } from "../dom.js";
import { counted, number, plain } from "../format.js";
import { Grid } from "../grid.js";
import { ago, emptiness, refusal, word } from "./parts.js";

/** @typedef {import("../answers.js").NodeView} Node */

/** Milliseconds between two looks: a node gives a sign of life twice a second. */
const LOOK = 2000;

export class NodesView {
  #store;
  #look;
  #sum = h("p.sum");
  #alone = h("div.nothing");
  #failed = h("div.nothing");
  #grid;
  #shown = false;
  #timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);

  /**
   * @param {import("../store.js").Store} store
   * @param {() => Promise<void>} look has the nodes read into the store
   */
  constructor(store, look) {
    this.#store = store;
    this.#look = look;
    this.#grid = new Grid({
      label: "Nodes",
      kind: "nodes",
      columns: COLUMNS,
      key: (/** @type {Node} */ { name, joinedAt }) => `${name} ${joinedAt}`,
    });
    this.element = h(
      "section.view",
      null,
      h(
        "div.list",
        null,
        h("div.heading", null, h("h1", { tabindex: -1 }, "Nodes")),
        h("div.filters", null, this.#sum),
        h("div.fill", null, this.#grid.element, this.#alone, this.#failed),
      ),
    );
    for (const part of [this.#grid.element, this.#alone, this.#failed]) show(part, false);
  }

  show() {
    this.#shown = true;
    void this.#again();
  }

  hide() {
    this.#shown = false;
    clearTimeout(this.#timer);
  }

  /** @param {import("../store.js").Change} change */
  update({ topics }) {
    if (topics.has("nodes")) this.#draw();
    if (topics.has("session") && this.#shown) void this.#again();
  }

  async #again() {
    clearTimeout(this.#timer);
    try {
      await this.#look();
      show(this.#failed, false);
    } catch (error) {
      // What was read stays: the banner says that the server does not answer.
      if (!this.#store.nodes) this.#failed.replaceChildren(refusal(error));
      show(this.#failed, !this.#store.nodes);
    }
    clearTimeout(this.#timer);
    if (this.#shown) this.#timer = setTimeout(() => void this.#again(), LOOK);
  }

  #draw() {
    const found = this.#store.nodes ?? [];
    const alone = isAlone(found);
    setText(this.#sum, alone ? "" : nodesText(found));
    show(this.#grid.element, !alone);
    show(this.#alone, alone);
    if (alone && !this.#alone.firstChild) {
      this.#alone.append(
        emptiness("This server is alone", "Nodes that share a registry would be listed here."),
      );
    }
    this.#grid.setItems(alone ? [] : found);
  }
}

/** Whether a server keeps a registry of its own. @param {Node[]} found */
export const isAlone = ([first, ...others]) => others.length === 0 && !first?.position;

/** "2 live, 1 lost". @param {Node[]} found */
export function nodesText(found) {
  const parts = ["LIVE", "LOST", "LEFT"].map((status) => {
    const count = found.filter((node) => node.status === status).length;
    return count ? `${number(count)} ${word(status).toLowerCase()}` : "";
  });
  return `${counted(found.length, "node")}: ${parts.filter(Boolean).join(", ")}`;
}

/** @type {Record<Node["status"], string>} */
const SIGNS = { LIVE: "live", LOST: "dead", LEFT: "stale" };

/** @type {import("../grid.js").Column<Node>[]} */
const COLUMNS = [
  {
    key: "node",
    title: "Node",
    cell: ({ name, own }) => [
      h("span", { title: plain(name) }, plain(name)),
      own && h("span.note", null, "\u00a0(this one)"),
    ],
  },
  {
    key: "state",
    title: "Status",
    cell: ({ status }) => [
      h(
        `span.status.${SIGNS[status] ?? "stale"}`,
        null,
        h("i.sign", { "aria-hidden": "true" }),
        word(status),
      ),
    ],
  },
  { key: "streams", title: "Streams", cell: ({ streams }) => [number(streams)] },
  {
    key: "position",
    title: "Position",
    hint: "How far it has read the log that the nodes share",
    cell: ({ position }) => [number(position)],
  },
  { key: "version", title: "Release", cell: ({ version }) => [plain(version)] },
  {
    key: "address",
    title: "Address",
    cell: ({ address }) => [address ? h("code", { title: plain(address) }, plain(address)) : "–"],
  },
  {
    key: "seen",
    title: "Last sign",
    cell: ({ lastSeenAt }) => [ago(lastSeenAt)],
  },
];
