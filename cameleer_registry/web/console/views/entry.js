// One entry of the timeline in full: when it began and ended, and each agent that it is about.

import { fill, h, setText } from "../dom.js";
import { counted, moment, number, plain, timeOfDay } from "../format.js";
import { Grid } from "../grid.js";
import { natural } from "../natural.js";
import { to } from "../router.js";
import { moreOf, whatOf } from "./happenings.js";
import { Pane } from "./pane.js";
import { agentLink, badge, emptiness, fact, searchField } from "./parts.js";

/** @typedef {import("../timeline.js").Entry} Entry */
/** @typedef {import("../timeline.js").Mention} Mention */
/** @typedef {{agentId: string, mention: Mention}} Row */

export class EntryPane {
  #pane;
  #entry = /** @type {Entry | null} */ (null);
  #facts = h("div.facts");
  #search = searchField("Find an agent", { input: () => this.#draw() });
  #sum = h("p.sum");
  #grid;
  #body;
  #gone = h("div");

  /** @param {() => void} close */
  constructor(close) {
    this.#grid = new Grid({
      label: "Agents of this entry",
      kind: "mentions",
      columns: [
        {
          key: "at",
          title: "Time",
          cell: ({ mention: { at } }) => [
            h("time", { datetime: at, title: moment(at) }, timeOfDay(at)),
          ],
        },
        {
          key: "agentId",
          title: "Agent",
          cell: ({ agentId, mention }) => [agentLink(agentId), ...said(mention)],
        },
      ],
      key: (/** @type {Row} */ { agentId }) => agentId,
      close,
    });
    this.#body = h(
      "div.pane-body.filled",
      null,
      this.#facts,
      h("div.pane-filters", null, this.#search, this.#sum),
      this.#grid.element,
    );
    this.#pane = new Pane("Entry", close);
    this.element = this.#pane.element;
    this.element.append(this.#gone, this.#body);
  }

  /** @param {Entry | null} entry @param {boolean} asked whether one is asked for at all */
  show(entry, asked) {
    if (!asked) {
      this.#entry = null;
      this.#pane.close();
      return;
    }
    const opening = this.element.hidden;
    if (entry === this.#entry && !opening) return;
    if (entry?.id !== this.#entry?.id) {
      this.#search.value = "";
      this.#grid.toTop();
    }
    this.#entry = entry;
    this.#body.hidden = !entry;
    fill(
      this.#gone,
      !entry &&
        emptiness("This entry is no more", "It is older than what is remembered of the timeline."),
    );
    if (entry) this.#show(entry);
    else this.#pane.entitle("Timeline");
    if (opening) this.#pane.open();
  }

  /** @param {Entry} entry */
  #show(entry) {
    const { at, since, count, agents, data } = entry;
    this.#pane.entitle(h("span", null, ...whatOf(entry)).textContent ?? "");
    const more = moreOf(entry);
    fill(
      this.#facts,
      h(
        "dl",
        null,
        ...fact("When", h("time", { datetime: since }, moment(since))),
        ...(at === since ? [] : fact("Until", h("time", { datetime: at }, moment(at)))),
        ...(more.length ? fact("Details", ...more) : []),
        ...(data.commandId
          ? fact("Command", h("a", { href: to("commands", data.commandId) }, data.type))
          : []),
        ...(count > agents.size && agents.size ? fact("Events", number(count)) : []),
      ),
    );
    this.#draw();
  }

  #draw() {
    const { agents } = this.#entry ?? {};
    if (!agents) return;
    const text = this.#search.value.trim().toLowerCase();
    const rows = [...agents]
      .map(([agentId, mention]) => ({ agentId, mention }))
      .filter(({ agentId, mention }) => `${agentId}\n${mention.note}`.toLowerCase().includes(text))
      .sort(
        (a, b) =>
          Number(b.mention.failed) - Number(a.mention.failed) || natural(a.agentId, b.agentId),
      );
    const whole = counted(agents.size, "agent");
    setText(this.#sum, text ? `${number(rows.length)} of ${whole}` : whole);
    /** @type {HTMLElement} */ (this.#search.parentElement).hidden = agents.size === 0;
    this.#grid.element.hidden = agents.size === 0;
    this.#grid.setItems(rows);
  }
}

/** @param {Mention} mention */
function said({ times, note, failed }) {
  return [
    failed && h("span.said-it", { title: plain(note) }, badge("FAILURE"), " ", plain(note)),
    times > 1 && h("span.said-it", null, `${number(times)} times`),
  ];
}
