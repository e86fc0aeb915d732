// A list of what happened, each entry on two lines where there is little room.

import { h, show } from "../dom.js";
import { moment, timeOfDay } from "../format.js";
import { Grid } from "../grid.js";
import { moreOf, toneOf, whatOf } from "./happenings.js";
import { emptiness } from "./parts.js";

/** @typedef {import("../timeline.js").Entry} Entry */

export class TimelineList {
  #grid;
  #nothing;

  /**
   * @param {string} label
   * @param {(entry: Entry) => void} open
   * @param {() => void} [close]
   */
  constructor(label, open, close) {
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
          cell: (entry) => {
            const more = moreOf(entry);
            return [
              h(`i.dot.${toneOf(entry)}`, { "aria-hidden": "true" }),
              h(
                "span.event",
                null,
                h("span.what", null, ...whatOf(entry)),
                more.length > 0 && h("span.more", null, ...more),
              ),
            ];
          },
        },
      ],
      key: (/** @type {Entry} */ entry) => String(entry.id),
      open,
      close,
    });
    this.#nothing = h(
      "div.nothing",
      null,
      emptiness(
        "Nothing has happened yet",
        "What agents and commands do appears here as it happens.",
      ),
    );
    this.element = h("div.fill", null, this.#grid.element, this.#nothing);
  }

  /** @param {Entry[]} entries newest first */
  setEntries(entries) {
    show(this.#grid.element, entries.length > 0);
    show(this.#nothing, entries.length === 0);
    this.#grid.setItems(entries);
  }

  /** @param {string | null} id of the entry that is shown elsewhere */
  setSelected(id) {
    this.#grid.setSelected(id);
  }

  focus() {
    this.#grid.element.focus();
  }
}
