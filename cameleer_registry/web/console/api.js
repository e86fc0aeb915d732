// The registry's HTTP API, relative to the page: so it is found under any mount prefix.

import { learn } from "./clock.js";
import { parse } from "./json.js";
import { heardPosition, positionHeaders } from "./position.js";

/** @typedef {import("./answers.js").AgentView} AgentView */
/** @typedef {import("./answers.js").CommandView} CommandView */
/** @typedef {import("./answers.js").DeliveryView} DeliveryView */
/** @typedef {import("./answers.js").Target} Target */

/** Milliseconds after which a request is given up. */
const PATIENCE = 10_000;

/** Milliseconds after which it is doubted whether the server is there. */
const OVERDUE = 3000;

/** Agents on a page of the list: a tenth of a second's work for either side. */
const PAGE = 2000;

export const HEADERS = { "X-Cameleer-Protocol-Version": "1" };

/** What a 401 of the registry is called; one that is called otherwise is not the registry's. */
const SIGNED_OUT = ["unauthenticated", "invalid-token", "token-expired", "credential-revoked"];

/**
 * Return an address of the API.
 * @param {string} path below /api/v1
 */
export const address = (path) => new URL(`api/v1${path}`, document.baseURI);

/** A refusal, in the server's words (RFC 9457). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{type?: string, title?: string, detail?: string, errors?: {path: string, message: string}[]}} body
   */
  constructor(status, body) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.status = status;
    this.code = (body.type ?? "").replace("urn:cameleer:problem:", "");
    this.title = body.title ?? "The server refused";
    this.errors = body.errors ?? [];
  }

  /** Whether the registry wants to know first who asks. */
  get signedOut() {
    return this.status === 401 && SIGNED_OUT.includes(this.code);
  }
}

/** No answer: the server is down, or the way to it. */
export class Unreachable extends Error {
  /**
   * @param {string} method
   * @param {string} [key] under which it was sent
   */
  constructor(method, key) {
    const done = method === "GET" ? "" : " It may have been carried out all the same.";
    const safe = key === undefined ? "" : " Sent again as it is, it is still carried out once.";
    super(`The server did not answer this request.${done}${safe}`);
    this.title = "No answer";
  }
}

/** Something between here and the server answered in its place: most often, a login has expired. */
export class Intercepted extends Error {
  /** @param {string} how it answered, as in "with 401" */
  constructor(how) {
    super(
      `Something between this page and the registry answered ${how}, as a proxy does when its ` +
        `login has expired. Reload the page to sign in again.`,
    );
    this.title = "Not the registry's answer";
  }
}

let doubt = (/** @type {number} */ _sent) => {};

/**
 * Be told when a request finds no answer, or not soon.
 * @param {(sent: number) => void} listener takes when it left, in milliseconds since 1970
 */
export function whenInDoubt(listener) {
  doubt = listener;
}

let signedOut = (/** @type {Problem} */ _problem) => {};

/**
 * Be told when the registry wants to know first who asks.
 * @param {(problem: Problem) => void} listener
 */
export function whenSignedOut(listener) {
  signedOut = listener;
}

/**
 * Ask, and return the response; raises Problem, Unreachable and Intercepted.
 * @param {string} method
 * @param {string} path below /api/v1
 * @param {string} [body] JSON, passed on as it is
 * @param {string} [key] by which the server can tell that it is sent again
 * @returns {Promise<Response>}
 */
async function request(method, path, body, key) {
  const sent = Date.now();
  /** @type {Record<string, string>} */
  const headers = { ...HEADERS, ...positionHeaders() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key !== undefined) headers["Idempotency-Key"] = `"${key}"`;
  const overdue = setTimeout(() => doubt(sent), OVERDUE);
  let response;
  try {
    response = await fetch(address(path), {
      method,
      body,
      headers,
      redirect: "manual", // the registry sends no one elsewhere
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    doubt(sent);
    throw new Unreachable(method, key);
  } finally {
    clearTimeout(overdue);
  }
  learn(response, sent);
  heardPosition(response);
  if (!response.ok) throw await refusalOf(response);
  return response;
}

/**
 * Return what a response that is none of success means.
 * @param {Response} response
 * @returns {Promise<Problem | Intercepted>}
 */
export async function refusalOf(response) {
  if (response.type === "opaqueredirect") return new Intercepted("by sending it elsewhere");
  const body = await response.json().catch(() => null);
  const ours = body !== null && typeof body === "object" && "type" in body;
  if (!ours && [401, 403, 407, 511].includes(response.status)) {
    return new Intercepted(`with ${response.status}`);
  }
  const problem = new Problem(response.status, body ?? {});
  if (problem.signedOut) signedOut(problem);
  return problem;
}

/** Whether a response is a page for people, where data was asked for. @param {Response} response */
export const isPage = (response) =>
  /^text\/html\b/.test(response.headers.get("Content-Type") ?? "");

/**
 * @param {Response} response
 * @param {string} [method] by which it was asked for
 * @param {string} [key] likewise
 * @returns {Promise<any>}
 */
async function bodyOf(response, method = "GET", key) {
  if (isPage(response)) throw new Intercepted("with a page");
  try {
    return parse(await response.text());
  } catch {
    throw new Unreachable(method, key); // it broke off
  }
}

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
const get = async (path) => bodyOf(await request("GET", path));

/** @param {string} part */
const quoted = (part) => encodeURIComponent(part);

/**
 * Read every agent, page by page.
 * @returns {Promise<AgentView[]>}
 */
export async function allAgents() {
  const agents = [];
  /** @type {string | null} */
  let query = `?limit=${PAGE}`;
  while (query !== null) {
    const response = await request("GET", `/agents${query}`);
    for (const agent of await bodyOf(response)) agents.push(agent);
    query = nextPage(response.headers.get("Link"));
  }
  return agents;
}

/**
 * Return the query of the next page. Not its whole address, which names the server as agents know
 * it: where `public_url` is set, perhaps another host than the one this page came from.
 * @param {string | null} link
 */
function nextPage(link) {
  const found = /<([^>]*)>;\s*rel="next"/.exec(link ?? "");
  return found ? new URL(found[1], document.baseURI).search : null;
}

/** @param {string} id @returns {Promise<AgentView>} */
export const agent = (id) => get(`/agents/${quoted(id)}`);

/** @param {string} id @returns {Promise<import("./answers.js").AgentDeliveryView[]>} */
export const commandsOfAgent = (id) => get(`/agents/${quoted(id)}/commands`);

/** @param {string} id @returns {Promise<CommandView>} */
export const command = (id) => get(`/commands/${quoted(id)}`);

/** @param {string} id @returns {Promise<DeliveryView[]>} */
export const deliveries = (id) => get(`/commands/${quoted(id)}/deliveries`);

/**
 * Read one page of the commands, newest first.
 * @param {string} query as in "?limit=100", or what an earlier page gave as the next one
 * @returns {Promise<{commands: CommandView[], next: string | null}>}
 */
export async function commands(query) {
  const response = await request("GET", `/commands${query}`);
  const found = await bodyOf(response);
  return { commands: found, next: nextPage(response.headers.get("Link")) };
}

/** Which server this is. @returns {Promise<import("./answers.js").ServerView>} */
export const server = () => get("/server");

/** The nodes that share the registry. @returns {Promise<import("./answers.js").NodeView[]>} */
export const nodes = () => get("/nodes");

/** Whether a credential is needed, and whose is shown. @returns {Promise<import("./answers.js").AuthView>} */
export const auth = () => get("/auth");

/**
 * Open a session, which the browser keeps as a cookie that no script can read.
 * @param {{token: string} | {code: string}} credential
 */
export async function signIn(credential) {
  await request("POST", "/auth/session", JSON.stringify(credential));
}

/** End the session. */
export async function signOut() {
  await request("DELETE", "/auth/session");
}

/** @param {string} id */
export async function forget(id) {
  await request("DELETE", `/agents/${quoted(id)}`);
}

/**
 * Send a command; raises Problem, Unreachable and Intercepted.
 * @param {Target} target
 * @param {string} type
 * @param {string} payload a JSON object as it was typed: parsing it here would round its integers
 * @param {string} key under which the same command is issued once, however often it is sent
 * @returns {Promise<CommandView>}
 */
export async function send(target, type, payload, key) {
  const body = `{"type":${JSON.stringify(type)},"payload":${payload}}`;
  const path = `/agents${pathOf(target)}/commands`;
  return bodyOf(await request("POST", path, body, key), "POST", key);
}

/** Return a new key. Not `randomUUID`, which browsers have over TLS only. */
export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) =>
    part.toString(16).padStart(8, "0"),
  ).join("");

/** @param {Target} target */
function pathOf(target) {
  if (target.level === "agent") return `/${quoted(target.agentId ?? "")}`;
  if (target.level === "group") return `/groups/${quoted(target.group ?? "")}`;
  return "";
}
