// How many agents a command would reach, in words, before it is sent.

import { number } from "../format.js";
import { agents } from "./parts.js";

/**
 * @typedef {{level: "agent", agentId: string} | {level: "group", group?: string} | {level: "all"} |
 *   {level: "several", agentIds: string[]}} Chosen
 */

/** @typedef {{reached: number, text: string, possible: boolean}} Reach */

/**
 * @param {import("../store.js").Store} store
 * @param {Chosen} chosen
 * @returns {Reach}
 */
export function reaching(store, chosen) {
  if (chosen.level === "agent") return agent(store, chosen.agentId);
  if (chosen.level === "several") return several(store, chosen.agentIds);
  if (chosen.level === "group" && !chosen.group) {
    return { reached: 0, text: "Which group?", possible: false };
  }
  const group = chosen.level === "group" ? chosen.group : null;
  const totals = group
    ? (store.groups.get(group) ?? { LIVE: 0, STALE: 0, DEAD: 0, connected: 0 })
    : store.totals;
  const quiet = totals.STALE + totals.DEAD;
  if (!totals.LIVE) {
    const text = quiet
      ? `Nobody is reached: none of ${agents(quiet)} is LIVE.`
      : "Nobody is reached: there is no agent.";
    return { reached: 0, text, possible: true };
  }
  let connected = 0;
  for (const one of store.agents.values()) {
    if ((!group || one.group === group) && one.status === "LIVE" && one.connected) connected += 1;
  }
  const parts = [`Reaches ${agents(totals.LIVE)}`, ...without(totals.LIVE, connected)];
  if (quiet) parts.push(`not the ${number(quiet)} that are STALE or DEAD`);
  return { reached: totals.LIVE, text: `${parts.join("; ")}.`, possible: true };
}

/** @param {import("../store.js").Store} store @param {string} id @returns {Reach} */
function agent(store, id) {
  if (!id) return { reached: 0, text: "Which agent?", possible: false };
  const found = store.agents.get(id);
  if (!found) return { reached: 0, text: "No agent of that id is registered.", possible: false };
  const where = found.connected
    ? "its stream is open"
    : "it holds no stream: it can fetch the command when it comes back in time";
  return {
    reached: 1,
    text: `Reaches 1 agent, which is ${found.status}; ${where}.`,
    possible: true,
  };
}

/** @param {import("../store.js").Store} store @param {string[]} ids @returns {Reach} */
function several(store, ids) {
  const found = ids.flatMap((id) => store.agents.get(id) ?? []);
  const quiet = found.filter(({ status }) => status !== "LIVE").length;
  const connected = found.filter((one) => one.connected).length;
  const parts = [`Reaches ${agents(found.length)}`, ...without(found.length, connected)];
  if (quiet) parts.push(`${number(quiet)} of them STALE or DEAD`);
  const gone = ids.length - found.length;
  if (gone) parts.push(`${number(gone)} that were chosen are not registered any more`);
  return { reached: found.length, text: `${parts.join("; ")}.`, possible: found.length > 0 };
}

/** @param {number} all @param {number} connected */
function without(all, connected) {
  if (connected === all) return [];
  if (!connected) return ["none with an open stream"];
  return [`${number(all - connected)} of them without an open stream`];
}
