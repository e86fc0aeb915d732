// What the one who looks may do: what may not be done is not offered.

/** @typedef {import("./answers.js").AuthView} AuthView */

/** Roles, each of which may do what those before it may. */
const ROLES = ["viewer", "operator", "admin"];

export class Permissions {
  /** @param {AuthView | null} auth null where the server knows no credentials */
  constructor(auth) {
    this.auth = auth;
    this.principal = auth?.principal ?? null;
  }

  /** Whether sessions are this server's: a host application may have its own. */
  get hasSessions() {
    return Boolean(this.auth?.methods.includes("token"));
  }

  /** Whether somebody could sign in here who has not. */
  get canSignIn() {
    return this.principal === null && this.hasSessions;
  }

  /** Whether nothing can be read before somebody signs in. */
  get mustSignIn() {
    return this.canSignIn && Boolean(this.auth?.required);
  }

  /** Whether there is anything to see: not for tokens that enrol agents, or read metrics only. */
  get reads() {
    return this.principal === null || ROLES.includes(this.principal.role);
  }

  /** Whether commands may be sent to agents and groups, and agents be forgotten. */
  get operates() {
    if (!this.principal) return !this.auth?.required;
    return ROLES.indexOf(this.principal.role) >= ROLES.indexOf("operator");
  }

  /** Whether all groups are seen, and so what concerns them together, such as the nodes. */
  get seesAll() {
    return this.reads && (this.principal?.groups ?? ["*"]).includes("*");
  }

  /** Whether a command may be sent to all agents. */
  get operatesAll() {
    return this.operates && this.seesAll;
  }

  /** Whether two see the same: the same agents, and as much of them. @param {Permissions} other */
  sameSight(other) {
    const sight = (/** @type {Permissions} */ { principal }) =>
      JSON.stringify([principal?.role, principal?.groups]);
    return sight(this) === sight(other);
  }
}
