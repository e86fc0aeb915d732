// Small things that several views show.

import { ticking } from "../clock.js";
import { copyButton } from "../copy.js";
import { fill, h } from "../dom.js";
import { age, counted, moment, number, plain } from "../format.js";
import { written } from "../json.js";
import { to } from "../router.js";

/** @typedef {import("../issued.js").Command} Command */

/** What a command can be. */
export const TYPES = ["config-update", "deep-trace", "replay"];

const STATUS_WORDS = /** @type {Record<string, string>} */ ({
  LIVE: "Live",
  STALE: "Stale",
  DEAD: "Dead",
  PENDING: "Pending",
  ACKNOWLEDGED: "Acknowledged",
  SUCCESS: "Succeeded",
  FAILURE: "Failed",
  PARTLY: "Partly failed",
  EXPIRED: "Expired",
  UNDELIVERABLE: "No agents",
  LEFT: "Left",
  LOST: "Lost",
});

/** A status in a word, behind a sign of its own form and colour. @param {string} status */
export const badge = (status) =>
  h(
    `span.status.${status.toLowerCase()}`,
    null,
    h("i.sign", { "aria-hidden": "true" }),
    word(status),
  );

/** @param {string} status */
export const word = (status) => STATUS_WORDS[status] ?? status;

/** Whether the stream is open. @param {boolean} connected */
export const stream = (connected) =>
  h(
    `span.stream${connected ? ".open" : ""}`,
    { title: connected ? "Its event stream is open" : "It has no open event stream" },
    connected ? "Open" : "Closed",
  );

/** How long ago, ticking. @param {string} at @param {string} [suffix] */
export const ago = (at, suffix = " ago") => ticking(at, (when) => age(when) + suffix, moment(at));

/** For how long, ticking: "12 s". @param {string} at */
export const lasting = (at) => ticking(at, age, `since ${moment(at)}`);

/** Characters at the end of an id that are never cut: in them, the pods of one service differ. */
const TAIL = 12;

/**
 * An agent's id, which loses its middle where there is no room, with a button that copies all of it.
 * @param {string} agentId
 * @param {boolean} [opens] whether its row opens the same
 */
export const agentLink = (agentId, opens) =>
  h("span.agent-id", null, idLink(agentId, opens), copyIn(agentId));

/** A button in a table: the keyboard has the one in the pane, and need not pass by all of these. @param {string} agentId */
function copyIn(agentId) {
  const button = copyButton(() => agentId, `the id ${agentId}`);
  button.tabIndex = -1;
  return button;
}

/** The same without the button: in the midst of a sentence. @param {string} agentId @param {boolean} [opens] */
export const idLink = (agentId, opens) =>
  h(
    "a.id",
    { href: to("agents", agentId), title: agentId, "data-opens": opens },
    ...(agentId.length > 2 * TAIL
      ? [
          h("span.id-head", null, agentId.slice(0, -TAIL)),
          h("span.id-tail", null, agentId.slice(-TAIL)),
        ]
      : [agentId]),
  );

/** @param {string} group */
export const groupLink = (group) =>
  h("a.group-link", { href: to("agents", null, { group }), title: group }, group);

/** @param {import("../answers.js").Target} target */
export function targetText(target) {
  if (target.level === "agent") return target.agentId ?? "";
  if (target.level === "group") return `group ${target.group}`;
  return "all agents";
}

/**
 * What became of a command, in numbers that add up to its targets.
 * @param {Command} command
 */
export function outcome(command) {
  const { PENDING: pending, EXPIRED: expired, ACKNOWLEDGED: acknowledged } = command.counts;
  const failed = Math.min(command.failed, acknowledged);
  return { succeeded: acknowledged - failed, failed, expired, pending };
}

/** "397 succeeded, 3 failed, 20 pending". @param {Command} command */
export const outcomeText = (command) => inWords(command, outcome(command));

/** The same with what went wrong first, for where there may be no room for all of it. @param {Command} command */
export function troubleText(command) {
  const { failed, expired, pending, succeeded } = outcome(command);
  return inWords(command, { failed, expired, pending, succeeded });
}

/** @param {Command} command @param {Record<string, number>} counts */
function inWords({ targetCount }, counts) {
  if (!targetCount) return "no agents";
  const parts = Object.entries(counts).filter(([, count]) => count);
  return parts.map(([name, count]) => `${number(count)} ${name}`).join(", ");
}

/** How it went, in the status word of the worst that happened. @param {Command} command */
export function verdict({ status, failed, targetCount }) {
  if (status === "PENDING" || status === "UNDELIVERABLE") return status;
  if (failed) return failed === targetCount ? "FAILURE" : "PARTLY";
  return status === "ACKNOWLEDGED" ? "SUCCESS" : status;
}

/** A bar that fills: made once, and updated. */
export class Progress {
  #parts = ["succeeded", "failed", "expired"].map((name) => h(`i.${name}`));

  constructor() {
    this.element = h("div.progress", { role: "progressbar", "aria-valuemin": 0 }, ...this.#parts);
  }

  /** @param {Command} command */
  show(command) {
    const counts = outcome(command);
    const whole = command.targetCount || 1;
    const { element } = this;
    element.setAttribute("aria-label", "Deliveries that are settled");
    element.setAttribute("aria-valuemax", String(command.targetCount));
    element.setAttribute("aria-valuenow", String(command.targetCount - counts.pending));
    element.setAttribute("aria-valuetext", outcomeText(command));
    const shares = [counts.succeeded, counts.failed, counts.expired];
    this.#parts.forEach((part, index) => {
      part.style.width = `${(shares[index] / whole) * 100}%`;
    });
  }
}

/** @param {Command} command */
export function progressOf(command) {
  const progress = new Progress();
  progress.show(command);
  return progress.element;
}

/**
 * What stands where there is nothing to show.
 * @param {string} title
 * @param {...import("../dom.js").Child} text
 */
export const emptiness = (title, ...text) =>
  h("div.empty", null, h("p.empty-title", null, title), h("p", null, ...text));

/** A refusal, next to what was refused. @param {unknown} error */
export function refusal(error) {
  const { title, message, errors } = /** @type {import("../api.js").Problem} */ (error);
  const faults = (errors ?? []).map((fault) =>
    h("li", null, h("code", null, plain(fault.path)), ` ${plain(fault.message)}`),
  );
  return h(
    "div.refusal",
    { role: "alert" },
    h("strong", null, title ?? "This went wrong"),
    h("p", null, plain(message)),
    faults.length > 0 && h("ul", null, ...faults),
  );
}

/**
 * Say in a pane that something could not be read, with a way to read it again. What is said already
 * is not said again.
 * @param {HTMLElement} place
 * @param {Error} error
 * @param {() => void} again
 */
export function sayUnread(place, error, again) {
  if (place.dataset.said === error.message && place.firstChild) return;
  place.dataset.said = error.message;
  const told = refusal(error);
  told.append(h("button.quiet", { type: "button", click: again }, "Try again"));
  fill(place, told);
}

/** A name and what it stands for, in a list of such. @param {string} name @param {...import("../dom.js").Child} value */
export const fact = (name, ...value) => [h("dt", null, name), h("dd", null, ...value)];

/**
 * A field to search or filter with, whose placeholder is its label.
 * @param {string} label
 * @param {import("../dom.js").Attributes} listeners
 */
export const searchField = (label, listeners) =>
  /** @type {HTMLInputElement} */ (
    h("input.search", {
      type: "search",
      placeholder: label,
      "aria-label": label,
      autocomplete: "off",
      spellcheck: "false",
      ...listeners,
    })
  );

/**
 * Return a function that does something a second after it was called last: once somebody has
 * stopped typing, and not at each key.
 * @param {() => void} act
 */
export function afterPause(act) {
  let timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, 1000);
  };
}

/** A JSON value on one line. @param {unknown} value */
export const compact = (value) => plain(written(value));

/** @param {number} count */
export const agents = (count) => counted(count, "agent");
