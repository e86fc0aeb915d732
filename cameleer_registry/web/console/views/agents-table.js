// The table of agents: its columns, and the orders that it can be in.

import { h } from "../dom.js";
import { number, plain } from "../format.js";
import { natural, order } from "../natural.js";
import { agentLink, badge, groupLink, lasting, stream } from "./parts.js";

/** @typedef {import("../fleet.js").Agent} Agent */

/** @type {import("../grid.js").Column<Agent>[]} */
export const COLUMNS = [
  { key: "status", title: "Status", sortable: true, cell: (agent) => [badge(agent.status)] },
  {
    key: "agentId",
    title: "Agent",
    sortable: true,
    cell: ({ agentId, name }) => [
      agentLink(agentId, true),
      name !== agentId && h("span.name", { title: plain(name) }, plain(name)),
    ],
  },
  { key: "group", title: "Group", sortable: true, cell: (agent) => [groupLink(agent.group)] },
  {
    key: "version",
    title: "Version",
    sortable: true,
    cell: ({ version }) => [version ? h("span", { title: plain(version) }, plain(version)) : "–"],
  },
  {
    key: "routes",
    title: "Routes",
    sortable: true,
    cell: ({ routes }) => [h("span", { title: names(routes) }, number(routes.length))],
  },
  {
    key: "capabilities",
    title: "Capabilities",
    cell: ({ capabilities }) => [
      h("span", { title: names(capabilities) }, capabilities.map(plain).join(", ") || "–"),
    ],
  },
  { key: "connected", title: "Stream", sortable: true, cell: (agent) => [stream(agent.connected)] },
  {
    key: "statusChangedAt",
    title: "For",
    hint: "How long it has had this status",
    sortable: true,
    cell: (agent) => [lasting(agent.statusChangedAt)],
  },
];

/** Columns of the exported CSV. */
export const EXPORTED = [
  ...["agentId", "name", "group", "version", "status", "connected", "statusChangedAt"],
  ...["registeredAt", "lastHeartbeatAt", "instanceId", "routeIds", "capabilities"],
];

/** Names that a tip shows. */
const SHOWN = 30;

/** @param {readonly string[]} all */
const names = (all) =>
  all.slice(0, SHOWN).map(plain).join("\n") + (all.length > SHOWN ? "\n…" : "");

/** What stands first when a column is sorted: trouble first, and what changed last. */
const RANK = { DEAD: 0, STALE: 1, LIVE: 2 };

/** @type {Record<string, (a: Agent, b: Agent) => number>} */
const ORDERS = {
  status: (a, b) => RANK[a.status] - RANK[b.status],
  agentId: () => 0,
  group: (a, b) => natural(a.group, b.group),
  version: (a, b) => natural(a.version ?? "", b.version ?? ""),
  routes: (a, b) => a.routes.length - b.routes.length,
  connected: (a, b) => Number(a.connected) - Number(b.connected),
  statusChangedAt: (a, b) => order(b.statusChangedAt, a.statusChangedAt),
};

/** @typedef {{key: string, descending: boolean}} Sort */

/**
 * Read an order as the address has it: "-version".
 * @param {string | null} asked
 * @returns {Sort}
 */
export function sortOf(asked) {
  const key = (asked ?? "").replace(/^-/, "");
  return Object.hasOwn(ORDERS, key)
    ? { key, descending: Boolean(asked?.startsWith("-")) }
    : { key: "agentId", descending: false };
}

/**
 * Put agents in order by a column, and by id where that makes no difference.
 * @param {Agent[]} agents
 * @param {Sort} sort
 */
export function sort(agents, { key, descending }) {
  const by = ORDERS[key];
  const sign = descending ? -1 : 1;
  const byId = key === "agentId" ? sign : 1;
  return agents.sort(
    (a, b) => sign * by(a, b) || byId * (order(a.order, b.order) || order(a.agentId, b.agentId)),
  );
}
