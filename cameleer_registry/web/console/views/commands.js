// Commands that were sent, newest first, and one of them in full.

import { h, setText, show } from "../dom.js";
import { counted } from "../format.js";
import { Grid } from "../grid.js";
import { go, to } from "../router.js";
import { CommandPane } from "./command.js";
import {
  ago,
  badge,
  emptiness,
  outcomeText,
  progressOf,
  searchField,
  targetText,
  verdict,
} from "./parts.js";

/** @typedef {import("../store.js").Command} Command */

/** @type {import("../grid.js").Column<Command>[]} */
const COLUMNS = [
  { key: "status", title: "Status", cell: (command) => [badge(verdict(command))] },
  {
    key: "type",
    title: "Command",
    cell: ({ commandId, type }) => [h("a", { href: to("commands", commandId) }, type)],
  },
  {
    key: "target",
    title: "To",
    cell: ({ target }) => [h("span", { title: targetText(target) }, targetText(target))],
  },
  { key: "bar", title: "Progress", cell: (command) => [progressOf(command)] },
  { key: "outcome", title: "Outcome", cell: (command) => [outcomeText(command)] },
  { key: "sent", title: "Sent", cell: ({ createdAt }) => [ago(createdAt)] },
];

export class CommandsView {
  #store;
  #sum = h("p.sum");
  #grid;
  #pane;
  #empty = h(
    "div.nothing",
    null,
    emptiness(
      "No command is known here",
      "One appears as soon as it is sent, from here or from anywhere. Older ones are found by their id.",
    ),
  );

  /**
   * @param {import("../store.js").Store} store
   * @param {(text: string) => void} say
   */
  constructor(store, say) {
    this.#store = store;
    const close = () => go(to("commands"));
    this.#grid = new Grid({
      label: "Commands",
      kind: "commands",
      columns: COLUMNS,
      key: (command) => command.commandId,
      open: ({ commandId }) => go(to("commands", commandId)),
      close,
    });
    this.#pane = new CommandPane(store, say, close);
    const id = searchField("Open a command by its id", {
      keydown: ({ key }) => {
        if (key === "Enter" && id.value.trim()) go(to("commands", id.value.trim()));
      },
    });
    this.element = h(
      "section.view.split",
      null,
      h("h1.unseen", { tabindex: -1 }, "Commands"),
      h(
        "div.list",
        null,
        h("div.heading", null, h("p.title", { "aria-hidden": "true" }, "Commands"), this.#sum),
        h("div.filters", null, id),
        h("div.fill", null, this.#grid.element, this.#empty),
      ),
      this.#pane.element,
    );
  }

  /** @param {import("../router.js").Route} route */
  show({ id }) {
    const left = id === null && this.#pane.element.contains(document.activeElement);
    this.element.classList.toggle("detailed", id !== null);
    this.#grid.setSelected(id);
    this.#pane.show(id);
    this.#draw();
    if (left) this.#grid.element.focus();
  }

  hide() {
    this.#pane.show(null);
  }

  /** @param {import("../store.js").Change} change */
  update(change) {
    if (change.topics.has("commands")) this.#draw();
    this.#pane.update(change);
  }

  #draw() {
    const commands = [...this.#store.commands.values()];
    commands.sort((a, b) => (a.commandId < b.commandId ? 1 : -1)); // ids sort by time
    setText(this.#sum, counted(commands.length, "command"));
    show(this.#grid.element, commands.length > 0);
    show(this.#empty, commands.length === 0);
    this.#grid.setItems(commands);
  }
}
