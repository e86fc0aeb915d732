// Forgetting agents: one, or those that are chosen; asked first, and told how far it has come.

import { h, setText } from "../dom.js";
import { counted, number, plain } from "../format.js";
import { confirm } from "./confirm.js";
import { agents } from "./parts.js";

/** Ids that a question names. */
const NAMED = 6;

/**
 * Ask, and forget an agent; resolves to whether it was done.
 * @param {import("../actions.js").Actions} actions
 * @param {string} id
 * @param {boolean} alive
 */
export const forgetOne = (actions, id, alive) =>
  confirm({
    title: "Forget this agent?",
    text: [
      h(
        "p",
        null,
        h("strong.id", null, id),
        " is taken from the registry, its stream is ended, and its pending commands expire at once.",
      ),
      alive &&
        h("p", null, "It is LIVE: if it is still running it will register again, as a new one."),
    ],
    verb: "Forget agent",
    act: () => actions.forget(id),
  });

/**
 * Ask, and forget several agents.
 * @param {import("../actions.js").Actions} actions
 * @param {import("../fleet.js").Agent[]} chosen
 */
export function forgetMany(actions, chosen) {
  const ids = chosen.map(({ agentId }) => agentId);
  const alive = chosen.filter(({ status }) => status === "LIVE").length;
  const progress = h("p.hint", { role: "status" });
  const more = ids.length - NAMED;
  return confirm({
    title: `Forget ${agents(ids.length)}?`,
    text: [
      h("ul.named", null, ...ids.slice(0, NAMED).map((id) => h("li.id", null, id))),
      more > 0 && h("p", null, `and ${number(more)} more.`),
      h(
        "p",
        null,
        "They are taken from the registry, their streams are ended, and their pending commands " +
          "expire at once.",
      ),
      alive > 0 &&
        h(
          "p.warning",
          null,
          `${number(alive)} of them ${alive === 1 ? "is" : "are"} LIVE: what is still running ` +
            "registers again, as a new one.",
        ),
      progress,
    ],
    verb: `Forget ${agents(ids.length)}`,
    act: async () => {
      const { failed } = await actions.forgetEach(ids, ({ done }) =>
        setText(progress, `${number(done)} of ${number(ids.length)} forgotten`),
      );
      if (!failed.length) return;
      const [{ id, error }] = failed;
      throw new Error(
        `${counted(failed.length, "agent")} could not be forgotten. ${id}: ${plain(error.message)}`,
      );
    },
  });
}
