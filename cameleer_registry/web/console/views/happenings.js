// What each kind of event says, in words. The number that matters comes first: where there is no room
// for all of it, the end is what is cut.

import { h } from "../dom.js";
import { counted, number, plain } from "../format.js";
import { to } from "../router.js";
import { agents, groupLink, idLink, targetText, word } from "./parts.js";

/** @typedef {import("../timeline.js").Entry} Entry */
/** @typedef {import("../dom.js").Child} Child */

export const KINDS = /** @type {Record<string, string>} */ ({
  agents: "Agents",
  streams: "Streams",
  commands: "Commands",
});

/**
 * @typedef {object} Happening
 * @property {string} kind
 * @property {(entry: Entry) => string} tone
 * @property {(entry: Entry) => Child[]} what
 * @property {(entry: Entry) => Child[]} [more] what there is to say beyond that
 */

/** @type {Record<string, Happening>} */
const HAPPENINGS = {
  "agent-registered": {
    kind: "agents",
    tone: () => "live",
    what: (entry) => [
      ...whom(entry),
      entry.data.resumed ? " registered again" : " registered",
      ...times(entry),
    ],
    more: ofGroup,
  },
  "agent-status": {
    kind: "agents",
    tone: ({ data }) => data.to.toLowerCase(),
    what: (entry) => [
      ...whom(entry),
      ` went ${word(entry.data.to).toLowerCase()}`,
      ...times(entry),
    ],
    more: ofGroup,
  },
  "agent-removed": {
    kind: "agents",
    tone: () => "plain",
    what: (entry) => [...whom(entry), several(entry) ? " were deleted" : " was deleted"],
    more: ofGroup,
  },
  "stream-opened": {
    kind: "streams",
    tone: () => "plain",
    what: (entry) => [
      ...whom(entry),
      several(entry) ? " opened streams" : " opened its stream",
      ...times(entry),
    ],
    more: ofGroup,
  },
  "stream-closed": {
    kind: "streams",
    tone: ({ data }) => (data.reason === "slow-consumer" ? "stale" : "plain"),
    what: (entry) => [
      ...whom(entry),
      several(entry) ? ": streams ended" : ": its stream ended",
      ...times(entry),
    ],
    more: (entry) => [
      (several(entry) ? CLOSED_MANY : CLOSED)[entry.data.reason] ?? entry.data.reason,
      ...and(ofGroup(entry)),
    ],
  },
  "stream-conflict": {
    kind: "streams",
    tone: () => "dead",
    what: (entry) => [
      ...whom(entry),
      several(entry) ? ": each is shared by several processes" : " is shared by several processes",
    ],
    more: ofGroup,
  },
  "command-issued": {
    kind: "commands",
    tone: () => "accent",
    what: ({ data }) => [
      commandLink(data),
      " sent to ",
      data.targetCount ? h("b", null, agents(data.targetCount)) : "nobody",
      data.skippedCount > 0 && `, ${number(data.skippedCount)} skipped`,
    ],
    more: ({ data }) => [plain(targetText(data.target))],
  },
  "delivery-acknowledged": {
    kind: "commands",
    tone: ({ failures }) => (failures ? "dead" : "live"),
    what: (entry) => {
      const { count, failures, data } = entry;
      if (count === 1) {
        return [commandLink(data), failures ? " failed at " : " acknowledged by ", ...whom(entry)];
      }
      return [
        commandLink(data),
        ": ",
        h("b", null, failures ? `${number(failures)} failed` : `${number(count)} succeeded`),
      ];
    },
    more: ({ agents: all, count, failures }) => [
      count === 1
        ? plain([...all.values()].map(({ note }) => note).join())
        : failures > 0 && failures < count
          ? `${number(count - failures)} succeeded`
          : "",
    ],
  },
  "delivery-expired": {
    kind: "commands",
    tone: () => "stale",
    what: (entry) => [commandLink(entry.data), " expired for ", ...whom(entry)],
    more: (entry) => [
      entry.data.reason === "agent-removed" ? "forgotten meanwhile" : "not acknowledged in time",
    ],
  },
};

/** @type {Record<string, string>} */
const CLOSED = {
  "client-gone": "the agent went away",
  replaced: "it opened a newer one",
  "agent-removed": "the agent was forgotten",
  "slow-consumer": "it did not read",
  "node-lost": "its node was lost",
  shutdown: "the server shut down",
};

/** @type {Record<string, string>} */
const CLOSED_MANY = {
  "client-gone": "the agents went away",
  replaced: "they opened newer ones",
  "agent-removed": "the agents were forgotten",
  "slow-consumer": "they did not read",
  shutdown: "the server shut down",
};

/** @param {Entry} entry */
export const kindOf = ({ type }) => HAPPENINGS[type].kind;

/** @param {Entry} entry */
export const toneOf = (entry) => HAPPENINGS[entry.type].tone(entry);

/** What happened. @param {Entry} entry */
export const whatOf = (entry) => HAPPENINGS[entry.type].what(entry);

/** What there is to say beyond that; perhaps nothing. @param {Entry} entry */
export const moreOf = (entry) =>
  (HAPPENINGS[entry.type].more?.(entry) ?? []).filter((part) => part !== "");

/** @param {{commandId: string, type: string}} data */
const commandLink = ({ commandId, type }) => h("a", { href: to("commands", commandId) }, type);

/** @param {Entry} entry */
const several = ({ agents: all }) => all.size > 1;

/** One agent by its id; several by how many they are. @param {Entry} entry @returns {Child[]} */
function whom({ agents: all }) {
  const [first] = all.keys();
  return all.size === 1 ? [idLink(first)] : [h("b", null, agents(all.size))];
}

/** How often, where that is not once for each. @param {Entry} entry @returns {Child[]} */
function times({ agents: all, count }) {
  if (count <= all.size) return [];
  return [`, ${counted(count, "time")}${all.size > 1 ? " in all" : ""}`];
}

/** @param {Entry} entry @returns {Child[]} */
function ofGroup({ group }) {
  return group ? [h("span", null, "group ", groupLink(group))] : [];
}

/** @param {Child[]} parts @returns {Child[]} */
const and = (parts) => (parts.length ? ["; ", ...parts] : []);

/**
 * Whether an entry has that text in it.
 * @param {Entry} entry
 * @param {string} text in lower case
 */
export function mentions({ type, group, agents: all, data }, text) {
  const { name, commandId, target } = data;
  const parts = [type, group, name, data.type, commandId, target && targetText(target), data.to];
  if (parts.some((part) => part && String(part).toLowerCase().includes(text))) return true;
  for (const [agentId, { note }] of all) {
    if (agentId.toLowerCase().includes(text) || note.toLowerCase().includes(text)) return true;
  }
  return false;
}
