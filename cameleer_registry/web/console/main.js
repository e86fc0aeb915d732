// The console: the store, what fills it, and the views that show it.

import { Actions } from "./actions.js";
import { here, onRoute } from "./router.js";
import { Session } from "./session.js";
import { Store } from "./store.js";
import { Sync } from "./sync.js";
import { AgentsView } from "./views/agents.js";
import { CommandsView } from "./views/commands.js";
import { GroupsView } from "./views/groups.js";
import { NodesView } from "./views/nodes.js";
import { SendDialog } from "./views/send.js";
import { Shell } from "./views/shell.js";
import { SignIn } from "./views/signin.js";
import { TimelineView } from "./views/timeline.js";

/**
 * @typedef {object} View
 * @property {HTMLElement} element
 * @property {(route: import("./router.js").Route) => void} show
 * @property {() => void} hide
 * @property {(change: import("./store.js").Change) => void} update
 */

const store = new Store();
const actions = new Actions(store);
const shell = new Shell(store, {
  send: () => dialog.open(chosen()),
  hurry: () => sync.hurry(),
  signIn: () => signIn.open("", true),
  signOut: () => void session.signOut().catch((error) => shell.say(error.message)),
});
const dialog = new SendDialog(store, actions);
const signIn = new SignIn();
const session = new Session(store, (why) => signIn.open(why));
signIn.signIn = (token) => session.signIn(token);
const sync = new Sync(store, session);

/** @type {Record<string, View>} */
const views = {
  agents: new AgentsView(store, actions, dialog, (text) => shell.say(text)),
  groups: new GroupsView(store, dialog),
  commands: new CommandsView(store, actions, (text) => shell.say(text)),
  timeline: new TimelineView(store),
  nodes: new NodesView(store, () => sync.server.lookAtNodes()),
};

/** @type {string | null} */
let shown = null;

/** What is looked at is what is meant, unless something else is chosen. @returns {import("./views/reach.js").Chosen} */
function chosen() {
  const { view, id, query } = here();
  if (view === "agents" && id) return { level: "agent", agentId: id };
  const group = query.get("group");
  if (view === "agents" && group) return { level: "group", group };
  return store.groups.size ? { level: "group" } : { level: "all" };
}

function navigate() {
  const route = here();
  shell.mark(route);
  const moved = route.view !== shown;
  if (moved) {
    if (shown) views[shown].hide();
    shell.main.replaceChildren(views[route.view].element);
  }
  views[route.view].show(route);
  if (moved && shown) {
    /** @type {HTMLElement | null} */ (shell.main.querySelector("h1"))?.focus();
  }
  shown = route.view;
}

store.subscribe((change) => {
  shell.update(change);
  views[here().view].update(change);
  dialog.update(change);
});
onRoute(navigate);
navigate();
void sync.start();
