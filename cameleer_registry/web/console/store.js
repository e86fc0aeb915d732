// What is known: the lists, with the events of the feed applied on top. Views read it and never write
// to it; they are told once a frame what has changed.

import { Fleet } from "./fleet.js";
import { Issued } from "./issued.js";
import { Permissions } from "./permissions.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("./answers.js").AgentView} AgentView */
/** @typedef {import("./answers.js").CommandView} CommandView */

/**
 * @typedef {object} Connection
 * @property {"connecting" | "live" | "paused" | "lost"} state
 * @property {number} since in milliseconds since 1970
 * @property {string} reason
 * @property {boolean} reload whether only loading the page again can help
 * @property {boolean} loaded whether the lists have been read
 * @property {number | null} silent since when nothing has come, where that is noticeable
 */

/** @typedef {{topics: Set<string>, facts: import("./feed.js").FeedEvent[]}} Change */

export class Store {
  #fleet = new Fleet();
  #issued = new Issued();
  timeline = new Timeline();
  /** Which server this is; without a field, it is not known. @type {import("./answers.js").ServerView} */
  server = {};
  /** The nodes that share its registry; null while they are not known. @type {import("./answers.js").NodeView[] | null} */
  nodes = null;
  /** Who asks, and what they may do. */
  permissions = new Permissions(null);
  /** @type {Connection} */
  connection = {
    ...{ state: "connecting", since: Date.now(), reason: "" },
    ...{ reload: false, loaded: false, silent: null },
  };

  /** @type {((change: Change) => void)[]} */
  #listeners = [];
  /** @type {Change} */
  #change = { topics: new Set(), facts: [] };
  #scheduled = false;

  get agents() {
    return this.#fleet.agents;
  }

  get groups() {
    return this.#fleet.groups;
  }

  get totals() {
    return this.#fleet.totals;
  }

  /** Agents that have registered since what they declare was read. */
  get undeclared() {
    return this.#fleet.undeclared;
  }

  get commands() {
    return this.#issued.commands;
  }

  /**
   * Be told of changes: at most once a frame, and once a second while nobody looks.
   * @param {(change: Change) => void} listener
   */
  subscribe(listener) {
    this.#listeners.push(listener);
  }

  // What was read

  /** @param {AgentView[]} listed all that there are */
  replaceAgents(listed) {
    this.#fleet.replace(listed);
    this.#touch("agents");
  }

  /** @param {AgentView} answer */
  putAgent(answer) {
    this.#fleet.put(answer);
    this.#touch("agents");
  }

  /** Take what agents declare, and nothing else of them. @param {AgentView[]} answers */
  putDeclared(answers) {
    for (const answer of answers) this.#fleet.declare(answer);
    this.#touch("agents");
  }

  /** @param {string} agentId */
  removeAgent(agentId) {
    this.#fleet.remove(agentId);
    this.#touch("agents");
  }

  /** @param {CommandView[]} answers */
  putCommands(answers) {
    for (const answer of answers) this.#issued.put(answer);
    this.#touch("commands");
  }

  /** @param {string} commandId @param {number} failed as its deliveries say it */
  putFailed(commandId, failed) {
    this.#issued.putFailed(commandId, failed);
    this.#touch("commands");
  }

  /** Hold these commands however old they are: they are looked at. @param {ReadonlySet<string>} ids */
  pin(ids) {
    this.#issued.pinned = ids;
  }

  /** Forget what came from a feed that is no more. */
  forgetHistory() {
    this.#issued.clear();
    this.timeline.clear();
    this.#touch("commands", "timeline", "history");
  }

  /** @param {import("./answers.js").ServerView} server */
  setServer(server) {
    this.server = server;
    this.#touch("server");
  }

  /** @param {import("./answers.js").NodeView[]} nodes */
  setNodes(nodes) {
    this.nodes = nodes;
    this.#touch("nodes");
  }

  /** @param {Permissions} permissions */
  setPermissions(permissions) {
    this.permissions = permissions;
    this.#touch("session");
  }

  /** @param {Partial<Connection>} change */
  setConnection(change) {
    const before = this.connection;
    const since = change.state && change.state !== before.state ? Date.now() : before.since;
    this.connection = { ...before, ...change, since };
    this.#touch("connection");
  }

  // What is told

  /** @param {import("./feed.js").FeedEvent} event */
  apply(event) {
    const { type, data } = event;
    if (Object.hasOwn(OF_AGENTS, type)) {
      OF_AGENTS[type](this.#fleet, data);
      this.#touch("agents");
    } else if (Object.hasOwn(OF_COMMANDS, type)) {
      OF_COMMANDS[type](this.#issued, data);
      this.#touch("commands");
    } else {
      return; // of a newer server
    }
    this.timeline.add(event);
    this.#change.facts.push(event);
    this.#touch("timeline");
  }

  /** @param {...string} topics */
  #touch(...topics) {
    for (const topic of topics) this.#change.topics.add(topic);
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Frames do not come while the page is hidden; its title should be right all the same.
    requestAnimationFrame(() => this.#tell());
    setTimeout(() => this.#tell(), 1000);
  }

  #tell() {
    if (!this.#scheduled) return;
    const change = this.#change;
    this.#change = { topics: new Set(), facts: [] };
    this.#scheduled = false;
    for (const listener of this.#listeners) listener(change);
  }
}

/**
 * What each event says of agents. All are facts that may be told twice.
 * @type {Record<string, (fleet: Fleet, data: any) => void>}
 */
const OF_AGENTS = {
  "agent-registered": (fleet, data) => fleet.registered(data),
  "agent-status": (fleet, { agentId, to, at }) =>
    fleet.alter(agentId, { status: to, statusChangedAt: at }),
  "agent-removed": (fleet, { agentId }) => fleet.remove(agentId),
  "stream-opened": (fleet, { agentId }) => fleet.alter(agentId, { connected: true }),
  "stream-closed": (fleet, { agentId, reason }) => {
    if (reason !== "replaced") fleet.alter(agentId, { connected: false });
  },
  "stream-conflict": () => {},
};

/**
 * And of commands.
 * @type {Record<string, (issued: Issued, data: any) => void>}
 */
const OF_COMMANDS = {
  "command-issued": (issued, data) => issued.issued(data),
  "delivery-acknowledged": (issued, data) => issued.changed(data),
  "delivery-expired": (issued, data) => issued.changed(data),
};
