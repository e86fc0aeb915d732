// What a command says of itself: to whom it went, when, and with which payload.

import { copyButton } from "../copy.js";
import { h } from "../dom.js";
import { moment, number, plain } from "../format.js";
import { written } from "../json.js";
import { ago, agentLink, fact, groupLink } from "./parts.js";

/**
 * @param {import("../issued.js").Command} command
 * @param {unknown} payload all of it, as it was read
 */
export function commandFacts(command, payload) {
  const { target, createdAt, targetCount, connectedCount, skippedCount } = command;
  const text = written(payload ?? {}, 2);
  return [
    h(
      "dl",
      null,
      ...fact("To", whom(target)),
      ...fact(
        "Reached",
        `${number(connectedCount)} of ${number(targetCount)} held an open stream`,
        skippedCount > 0 && `; ${number(skippedCount)} skipped, with too much pending`,
      ),
      ...fact("Sent", h("time", { datetime: createdAt }, moment(createdAt)), " · ", ago(createdAt)),
      ...(command.issuedBy ? fact("By", h("code", null, plain(command.issuedBy))) : []),
      ...fact(
        "Id",
        h("code", null, command.commandId),
        copyButton(() => command.commandId, "the command's id"),
      ),
    ),
    text === "{}"
      ? h("p.hint", null, "It has no payload.")
      : h("details", null, h("summary", null, "Payload"), h("pre", { tabindex: 0 }, shown(text))),
  ];
}

/** @param {string} text of several lines */
const shown = (text) => text.split("\n").map(plain).join("\n");

/** @param {import("../answers.js").Target} target */
function whom(target) {
  if (target.level === "agent") return agentLink(target.agentId ?? "");
  if (target.level === "group") return h("span", null, "Group ", groupLink(target.group ?? ""));
  return "All agents";
}
