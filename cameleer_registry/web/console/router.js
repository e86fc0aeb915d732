// Where the reader is: #/agents/order-service-1?status=DEAD

/** @typedef {{view: string, id: string | null, query: URLSearchParams}} Route */

/** Those that have a link at the top. */
export const VIEWS = ["agents", "groups", "commands", "timeline"];

const KNOWN = [...VIEWS, "nodes"];

/** @returns {Route} */
export function here() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [view, ...rest] = path.split("/");
  const known = KNOWN.includes(view);
  const id = known && rest.length ? decoded(rest.join("/")) : null;
  return { view: known ? view : VIEWS[0], id: id || null, query: new URLSearchParams(query) };
}

/**
 * Return a link within the console.
 * @param {string} view
 * @param {string | null} [id]
 * @param {URLSearchParams | Record<string, string>} [query]
 */
export function to(view, id, query) {
  const asked = new URLSearchParams(query).toString();
  const path = id ? `${view}/${encodeURIComponent(id)}` : view;
  return `#/${path}${asked ? `?${asked}` : ""}`;
}

/** @param {string} link */
export function go(link) {
  location.hash = link;
}

/**
 * Change the query in place: a filter that is typed leaves no trail of steps back.
 * @param {Route} route
 */
export function rewrite(route) {
  history.replaceState(null, "", to(route.view, route.id, route.query));
}

/** @param {() => void} listener */
export function onRoute(listener) {
  addEventListener("hashchange", listener);
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a percent sign on its own
  }
}
