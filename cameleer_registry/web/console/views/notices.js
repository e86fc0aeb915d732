// What everybody should know at the moment, above all views: that the server is lost, that it was
// away, that it is another one by now.

import { ticking } from "../clock.js";
import { fill, h, setAttribute, show } from "../dom.js";
import { age, duration, moment, number, timeOfDay } from "../format.js";
import { agents } from "./parts.js";

/** Milliseconds for which it is said that all agents are back. */
const ALL_BACK = 30_000;

export class Notices {
  #store;
  #hurry;
  #say;
  #lost = h("section.banner", { "aria-label": "Connection", hidden: true });
  #away = h("section.notice", { "aria-label": "Restart", hidden: true });
  #other = h("section.notice", { "aria-label": "Release", hidden: true });
  #state = "";
  /** The restart that was dismissed, by its time; and the release that this page is of. */
  #dismissed = "";
  #release = /** @type {string | undefined} */ (undefined);
  #drawn = "";

  /**
   * @param {import("../store.js").Store} store
   * @param {() => void} hurry
   * @param {(text: string) => void} say
   */
  constructor(store, hurry, say) {
    this.#store = store;
    this.#hurry = hurry;
    this.#say = say;
    this.elements = [this.#lost, this.#away, this.#other];
  }

  /** @param {import("../store.js").Change} change */
  update({ topics }) {
    if (topics.has("connection")) this.#connection();
    if (topics.has("server")) this.#server();
  }

  #connection() {
    const { state, since, reason, reload, loaded } = this.#store.connection;
    const before = this.#state;
    this.#state = state;
    show(this.#lost, state === "lost");
    setAttribute(this.#lost, "data-reason", reason);
    if (state === "lost") {
      if (before === "lost" && this.#lost.dataset.said === reason) return;
      this.#lost.dataset.said = reason;
      const at = new Date(since).toISOString();
      fill(
        this.#lost,
        h("strong", null, loaded ? "The server is lost." : "The server cannot be reached."),
        h(
          "span",
          null,
          `${reason} `,
          loaded && `What you see is as of ${timeOfDay(at)}, `,
          loaded && ticking(at, (when) => `${age(when)} ago.`),
          !reload && " It is tried again by itself.",
        ),
        reload
          ? h("button.quiet", { type: "button", click: () => location.reload() }, "Reload the page")
          : h("button.quiet", { type: "button", click: this.#hurry }, "Try now"),
      );
      if (before !== "lost") this.#say(`The server is lost. ${reason}`);
    } else if (before === "lost" && state === "live") {
      this.#say("The server is back.");
    }
  }

  #server() {
    const { version, resumed } = this.#store.server;
    this.#release ??= version;
    show(this.#other, version !== undefined && version !== this.#release);
    fill(
      this.#other,
      h(
        "span",
        null,
        `The server is of release ${version} now, and this page of ${this.#release}.`,
      ),
      h("button.quiet", { type: "button", click: () => location.reload() }, "Reload the page"),
    );
    const shown = Boolean(resumed) && resumed?.awayUntil !== this.#dismissed;
    const drawn = shown ? JSON.stringify(resumed) : "";
    if (drawn === this.#drawn) return;
    // A page that comes when all are back already does not need to know.
    show(this.#away, shown && (this.#drawn !== "" || resumed?.notBack !== 0));
    this.#drawn = drawn;
    if (resumed && shown) this.#drawAway(resumed);
  }

  /** @param {import("../answers.js").Resumed} resumed */
  #drawAway({ awayFrom, awayUntil, agents: all, notBack }) {
    const dismiss = () => {
      this.#dismissed = awayUntil;
      show(this.#away, false);
    };
    const [from, until] = [Date.parse(awayFrom), Date.parse(awayUntil)];
    const sameDay = new Date(from).toDateString() === new Date(until).toDateString();
    fill(
      this.#away,
      h(
        "span",
        null,
        `The server was away from `,
        h("time", { datetime: awayFrom }, sameDay ? timeOfDay(awayFrom) : moment(awayFrom)),
        " to ",
        h("time", { datetime: awayUntil }, sameDay ? timeOfDay(awayUntil) : moment(awayUntil)),
        ` (${duration(until - from)}). `,
        notBack
          ? h("strong", null, `${number(notBack)} of ${agents(all)} have not come back yet.`)
          : h("strong", null, all === 1 ? "Its agent is back." : `All ${agents(all)} are back.`),
      ),
      h("button.quiet", { type: "button", click: dismiss }, "Dismiss"),
    );
    if (!notBack) setTimeout(dismiss, ALL_BACK);
  }
}
