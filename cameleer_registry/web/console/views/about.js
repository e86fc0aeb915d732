// Which server this is, who looks at it, and where there is more to read.

import { ticking } from "../clock.js";
import { fill, h, setAttribute, setText, show } from "../dom.js";
import { age, moment, plain } from "../format.js";
import { to } from "../router.js";
import { menu } from "./menu.js";
import { isAlone, nodesText } from "./nodes.js";
import { fact } from "./parts.js";

export class About {
  #store;
  #acts;
  #facts = h("dl");
  #who = h("div.who");
  #line = h("span.release");
  element;

  /**
   * @param {import("../store.js").Store} store
   * @param {{signIn: () => void, signOut: () => void}} acts
   */
  constructor(store, acts) {
    this.#store = store;
    this.#acts = acts;
    this.element = menu(
      "about",
      h("span", null, this.#line, h("span.about-word", null, "Server")),
      this.#facts,
      h(
        "p.links",
        null,
        h("a", { href: "docs" }, "API documentation"),
        h("a", { href: "metrics" }, "Metrics"),
      ),
      this.#who,
    );
    this.#draw();
  }

  /** @param {import("../store.js").Change} change */
  update({ topics }) {
    if (["server", "session", "nodes"].some((topic) => topics.has(topic))) this.#draw();
  }

  #draw() {
    const { name, version, instance, startedAt } = this.#store.server;
    fill(
      this.#facts,
      ...(name ? fact("Name", plain(name)) : []),
      ...(version ? fact("Release", plain(version)) : []),
      ...(startedAt
        ? fact(
            "Up for",
            ticking(startedAt, age),
            h("span.note", null, `, since ${moment(startedAt)}`),
          )
        : []),
      ...(instance ? fact("Instance", h("code", null, plain(instance))) : []),
      ...(this.#store.nodes?.length
        ? fact("Nodes", h("a", { href: to("nodes") }, nodesIn(this.#store.nodes)))
        : []),
      ...fact("Address", h("code", null, document.baseURI.replace(/#.*/, ""))),
    );
    fill(
      this.#line,
      version ? plain(version) : null,
      version && startedAt ? " · up " : null,
      version && startedAt ? ticking(startedAt, age) : null,
    );
    setAttribute(this.element, "data-known", version ? "yes" : null);
    this.#drawWho();
  }

  #drawWho() {
    const { principal, canSignIn, hasSessions } = this.#store.permissions;
    show(this.#who, principal !== null || canSignIn);
    if (principal) {
      const { role, tokenId, groups, expiresAt } = principal;
      const scope = groups && !groups.includes("*") ? `, of ${groups.join(", ")}` : "";
      fill(
        this.#who,
        h("p", null, "Signed in as ", h("strong", null, role), plain(scope)),
        tokenId && h("p.note", null, "Token ", h("code", null, plain(tokenId))),
        expiresAt && h("p.note", null, `until ${moment(expiresAt)}`),
        hasSessions &&
          h(
            "button.quiet",
            { type: "button", "data-chosen": true, click: this.#acts.signOut },
            "Sign out",
          ),
      );
    } else {
      fill(
        this.#who,
        h(
          "button.quiet",
          { type: "button", "data-chosen": true, click: this.#acts.signIn },
          "Sign in",
        ),
      );
    }
  }
}

/** @param {import("../answers.js").NodeView[]} nodes */
const nodesIn = (nodes) => (isAlone(nodes) ? "This one alone" : nodesText(nodes));

/** Show a server's name and colour around the page. @param {import("../answers.js").ServerView} server @param {HTMLElement} brand */
export function brandWith({ name, color }, brand) {
  setText(brand, name ? plain(name) : "Cameleer");
  const known = Boolean(color) && CSS.supports("color", color ?? "");
  document.documentElement.toggleAttribute("data-colored", known);
  if (known) document.documentElement.style.setProperty("--server", color ?? "");
  else document.documentElement.style.removeProperty("--server");
}
