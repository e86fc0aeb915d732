// What stands around every view: where to go, whether the server is there, and how light it is.

import { startTicking, ticking } from "../clock.js";
import { fill, h, setAttribute, setText, show } from "../dom.js";
import { age, duration, number, timeOfDay } from "../format.js";
import { VIEWS, to } from "../router.js";

const THEMES = ["system", "light", "dark"];

const TITLES = /** @type {Record<string, string>} */ ({
  agents: "Agents",
  groups: "Groups",
  commands: "Commands",
  timeline: "Timeline",
});

const STATES = { connecting: "Connecting", live: "Connected", paused: "Paused", lost: "No server" };

export class Shell {
  #store;
  #links = new Map(VIEWS.map((view) => [view, h("a", { href: to(view) }, TITLES[view])]));
  #word = h("span");
  #state = h("span.connection", null, h("i", { "aria-hidden": "true" }), this.#word);
  #banner = h("section.banner", { "aria-label": "Connection", hidden: true });
  #said = h("div.said", { role: "status" });
  #shown = "";

  main = h("main", { id: "main" });

  /**
   * @param {import("../store.js").Store} store
   * @param {{send: () => void, hurry: () => void}} actions
   */
  constructor(store, { send, hurry }) {
    this.#store = store;
    this.hurry = hurry;
    const header = h(
      "header.top",
      null,
      h(
        "a.brand",
        { href: to("agents"), "aria-label": "Cameleer, to all agents" },
        logo(),
        h("span", null, "Cameleer"),
      ),
      h("nav", { "aria-label": "Views" }, ...this.#links.values()),
      h(
        "div.tools",
        null,
        this.#state,
        themeButton(),
        h("button.primary", { type: "button", click: send }, "Send command"),
      ),
    );
    const skip = h("a.skip", { href: "#main" }, "To the content");
    skip.addEventListener("click", (event) => {
      event.preventDefault(); // the address is the router's
      /** @type {HTMLElement | null} */ (this.main.querySelector("h1"))?.focus();
    });
    document.body.append(skip, header, this.#banner, this.main, this.#said);
    startTicking();
  }

  /** @param {import("../router.js").Route} route */
  mark(route) {
    for (const [view, link] of this.#links) {
      setAttribute(link, "aria-current", view === route.view ? "page" : null);
    }
  }

  /** Say something to those who listen rather than look. @param {string} text */
  say(text) {
    setText(this.#said, text);
  }

  /** @param {import("../store.js").Change} change */
  update({ topics }) {
    if (topics.has("agents") || topics.has("connection")) this.#title();
    if (topics.has("connection")) this.#connection();
  }

  #title() {
    const { LIVE, STALE, DEAD } = this.#store.totals;
    const parts = [`${number(LIVE)} live`];
    if (STALE) parts.push(`${number(STALE)} stale`);
    if (DEAD) parts.push(`${number(DEAD)} dead`);
    // Numbers that do not follow the fleet any more are none to look at.
    const paused = this.#store.connection.state === "paused";
    const title = `${paused ? "Paused" : parts.join(" · ")} – Cameleer`;
    if (document.title !== title) document.title = title;
  }

  #connection() {
    const { state, since, reason, loaded, silent } = this.#store.connection;
    document.documentElement.dataset.connection = state;
    if (state === "live" && silent !== null) fill(this.#word, noSign(silent));
    else setText(this.#word, STATES[state]);
    document.documentElement.toggleAttribute("data-silent", state === "live" && silent !== null);
    setAttribute(this.#state, "title", state === "live" ? "Changes appear by themselves" : reason);
    const before = this.#shown;
    this.#shown = state;
    show(this.#banner, state === "lost");
    if (state === before) return;
    if (state === "lost") {
      const at = new Date(since).toISOString();
      fill(
        this.#banner,
        h("strong", null, loaded ? "The server is lost." : "The server cannot be reached."),
        h(
          "span",
          null,
          `${reason} `,
          loaded && `What you see is as of ${timeOfDay(at)}, `,
          loaded && ticking(at, (when) => `${age(when)} ago.`),
          " It is tried again by itself.",
        ),
        h("button.quiet", { type: "button", click: this.hurry }, "Try now"),
      );
      this.say(`The server is lost. ${reason}`);
    } else if (before === "lost" && state === "live") {
      this.say("The server is back.");
    }
  }
}

/** @param {number} since in milliseconds since 1970, by this machine */
const noSign = (since) =>
  ticking(new Date(since).toISOString(), () => `No sign for ${duration(Date.now() - since)}`);

function logo() {
  return h("img", { src: "console/icon.svg", alt: "", width: 24, height: 24 });
}

function themeButton() {
  const root = document.documentElement;
  const button = h("button.quiet.theme", { type: "button" });
  const label = () => {
    const theme = root.dataset.theme ?? "system";
    setAttribute(button, "aria-label", `Theme: ${theme}`);
    setAttribute(button, "title", `Theme: ${theme}`);
    button.dataset.theme = theme;
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "system") + 1) % THEMES.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("cameleer.theme", next); // as theme.js reads it
    } catch {
      // Then it holds for as long as the page is open.
    }
    label();
  });
  label();
  return button;
}
