// What stands around every view: where to go, whether the server is there, and how light it is.

import { startTicking, ticking } from "../clock.js";
import { fill, h, setAttribute, setText, show } from "../dom.js";
import { duration, number, plain } from "../format.js";
import { VIEWS, to } from "../router.js";
import { About, brandWith } from "./about.js";
import { Notices } from "./notices.js";

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
  #said = h("div.said", { role: "status" });
  #brand = h("span", null, "Cameleer");
  #send;
  #about;
  #notices;

  main = h("main", { id: "main" });

  /**
   * @param {import("../store.js").Store} store
   * @param {{send: () => void, hurry: () => void, signIn: () => void, signOut: () => void}} acts
   */
  constructor(store, { send, hurry, signIn, signOut }) {
    this.#store = store;
    this.#send = h(
      "button.primary",
      { type: "button", click: send },
      "Send",
      h("span", null, "\u00a0command"),
    );
    this.#about = new About(store, { signIn, signOut });
    this.#notices = new Notices(store, hurry, (text) => this.say(text));
    const header = h(
      "header.top",
      null,
      h("a.brand", { href: to("agents"), title: "To all agents" }, logo(), this.#brand),
      h("nav", { "aria-label": "Views" }, ...this.#links.values()),
      h("div.tools", null, this.#state, this.#about.element, themeButton(), this.#send),
    );
    const skip = h("a.skip", { href: "#main" }, "To the content");
    skip.addEventListener("click", (event) => {
      event.preventDefault(); // the address is the router's
      /** @type {HTMLElement | null} */ (this.main.querySelector("h1"))?.focus();
    });
    document.body.append(skip, header, ...this.#notices.elements, this.main, this.#said);
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
  update(change) {
    const { topics } = change;
    if (["agents", "connection", "server"].some((topic) => topics.has(topic))) this.#title();
    if (topics.has("connection") || topics.has("session")) this.#connection();
    if (topics.has("server")) brandWith(this.#store.server, this.#brand);
    if (topics.has("session")) show(this.#send, this.#store.permissions.operates);
    this.#about.update(change);
    this.#notices.update(change);
  }

  #title() {
    const { LIVE, STALE, DEAD } = this.#store.totals;
    const parts = [`${number(LIVE)} live`];
    if (STALE) parts.push(`${number(STALE)} stale`);
    if (DEAD) parts.push(`${number(DEAD)} dead`);
    // Numbers that do not follow the fleet any more are none to look at.
    const paused = this.#store.connection.state === "paused";
    const name = plain(this.#store.server.name || "Cameleer");
    const title = `${paused ? "Paused" : parts.join(" · ")} – ${name}`;
    if (document.title !== title) document.title = title;
  }

  #connection() {
    const { state, reason, silent } = this.#store.connection;
    document.documentElement.dataset.connection = state;
    if (state === "live" && silent !== null) fill(this.#word, noSign(silent));
    else if (this.#store.permissions.mustSignIn) setText(this.#word, "Signed out");
    else setText(this.#word, STATES[state]);
    document.documentElement.toggleAttribute("data-silent", state === "live" && silent !== null);
    setAttribute(this.#state, "title", state === "live" ? "Changes appear by themselves" : reason);
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
