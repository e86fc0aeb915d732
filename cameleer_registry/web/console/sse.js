// Reading an event stream from the bytes of a response (WHATWG HTML, section 9.2.6).
//
// Not EventSource: it tells nothing of keepalives, so that a connection on which nothing comes any
// more looks to it like one on which nothing happens; it gives up for good on a 503; and it can
// send no header, which `require_protocol_version` asks for.

/** @typedef {{id: string | null, type: string, data: string}} ServerEvent */

export class EventParser {
  #rest = "";
  #id = /** @type {string | null} */ (null);
  #type = "";
  #data = /** @type {string[]} */ ([]);

  /** What the server asked to wait before coming back, in milliseconds. */
  retry = /** @type {number | null} */ (null);

  /** How many comments have come: keepalives, but for the first one. */
  comments = 0;

  /**
   * Take a piece of the stream and return the events that it completes.
   * @param {string} piece
   * @returns {ServerEvent[]}
   */
  push(piece) {
    // A CR at the end may be half of a CRLF: it waits for what follows.
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#take(line) ?? []);
  }

  /** @param {string} line @returns {ServerEvent | null} */
  #take(line) {
    if (line === "") return this.#dispatch();
    if (line.startsWith(":")) {
      this.comments += 1;
      return null;
    }
    const [name, value] = split(line);
    if (name === "id") this.#id = value;
    else if (name === "event") this.#type = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    return null;
  }

  /** @returns {ServerEvent | null} */
  #dispatch() {
    const event = { id: this.#id, type: this.#type || "message", data: this.#data.join("\n") };
    const empty = this.#data.length === 0;
    this.#type = "";
    this.#data = [];
    return empty ? null : event;
  }
}

/** @param {string} line @returns {[string, string]} */
function split(line) {
  const colon = line.indexOf(":");
  if (colon < 0) return [line, ""];
  const value = line.slice(colon + 1);
  return [line.slice(0, colon), value.startsWith(" ") ? value.slice(1) : value];
}
