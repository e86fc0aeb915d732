// The server's clock, as far as it can be told from here, and the ages that tick on the page.

/** Milliseconds that the server is ahead of this machine; 0 while nothing says otherwise. */
let ahead = 0;

/** The Date header has whole seconds: a smaller difference than this is none. */
const NOISE = 1500;

/** What the time is at the server, in milliseconds since 1970. */
export const serverNow = () => Date.now() + ahead;

/**
 * Take a response's Date header as the server's time in the middle of the exchange.
 * @param {Response} response
 * @param {number} sent when the request left, by this machine
 */
export function learn(response, sent) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (Number.isNaN(date)) return;
  const difference = date + 500 - (sent + Date.now()) / 2;
  ahead = Math.abs(difference) < NOISE ? 0 : difference;
}

/** @typedef {(at: string) => string} Wording */

/** @type {WeakMap<Element, Wording>} */
const wordings = new WeakMap();

/**
 * Return an element whose text is kept up to date as time goes by, for as long as it is shown.
 * @param {string} at RFC 3339
 * @param {Wording} wording
 * @param {string} [title]
 */
export function ticking(at, wording, title) {
  const element = document.createElement("time");
  element.dateTime = at;
  element.dataset.ticking = "";
  element.textContent = wording(at);
  if (title) element.title = title;
  wordings.set(element, wording);
  return element;
}

/** Bring every ticking element on the page up to date, once a second. */
export function startTicking() {
  setInterval(() => {
    for (const element of document.querySelectorAll("time[data-ticking]")) {
      const wording = wordings.get(element);
      if (!wording) continue;
      const text = wording(/** @type {HTMLTimeElement} */ (element).dateTime);
      if (element.textContent !== text) element.textContent = text;
    }
  }, 1000);
}
