// The table of commands: its columns, and what is exported of it.

import { h } from "../dom.js";
import { plain } from "../format.js";
import { parse } from "../json.js";
import { to } from "../router.js";
import { ago, badge, troubleText, progressOf, targetText, verdict } from "./parts.js";

/** @typedef {import("../issued.js").Command} Command */

/** @type {import("../grid.js").Column<Command>[]} */
export const COLUMNS = [
  { key: "status", title: "Status", cell: (command) => [badge(verdict(command))] },
  {
    key: "type",
    title: "Command",
    cell: ({ commandId, type }) => [
      h("a", { href: to("commands", commandId), "data-opens": true }, type),
    ],
  },
  {
    key: "target",
    title: "To",
    cell: ({ target }) => [h("span", { title: targetText(target) }, targetText(target))],
  },
  { key: "bar", title: "Progress", cell: (command) => [progressOf(command)] },
  {
    key: "outcome",
    title: "Outcome",
    cell: (command) => [h("span", { title: troubleText(command) }, troubleText(command))],
  },
  {
    key: "payload",
    title: "Payload",
    cell: ({ payload }) => [payloadText(payload)],
  },
  { key: "sent", title: "Sent", cell: ({ createdAt }) => [ago(createdAt)] },
];

/** Characters of a payload that a row has room for, at the most. */
const ROOM = 300;

/** @param {string | null} payload */
function payloadText(payload) {
  if (payload === null || payload === "{}") return h("span.note", null, "–");
  return h("code", { title: plain(payload.slice(0, 1000)) }, plain(payload.slice(0, ROOM)));
}

/** Columns of the exported CSV. */
export const EXPORTED = [
  ...["commandId", "type", "target", "status", "createdAt", "expiresAt", "issuedBy", "targetCount"],
  ...["connectedCount", "skippedCount", "succeeded", "failed", "expired", "pending", "payload"],
];

/**
 * A row of the export. @param {Command} command @param {import("../download.js").Format} format
 */
export function exported(command, format) {
  const { counts, failed, payload, target, ...rest } = command;
  return {
    ...rest,
    target: format === "csv" ? targetText(target) : target,
    succeeded: counts.ACKNOWLEDGED - failed,
    ...{ failed, expired: counts.EXPIRED, pending: counts.PENDING },
    payload: format === "csv" || payload === null ? payload : valueOf(payload),
  };
}

/** A payload as it was, or its text where it is cut. @param {string} text */
function valueOf(text) {
  try {
    return parse(text);
  } catch {
    return text;
  }
}
