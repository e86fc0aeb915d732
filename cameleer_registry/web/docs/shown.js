// What was answered, as it comes: a stream is shown event by event until it is stopped.

import { fill, h, setText, show } from "../console/dom.js";
import { parse, written } from "../console/json.js";

/** @typedef {import("./request.js").Request} Request */

/** How much of an answer is shown, in characters: its end, where it is a stream, or its beginning. */
const MOST = 200_000;

export class Shown {
  #abort = /** @type {AbortController | null} */ (null);
  #busy;
  #head = h("p.head", { role: "status" });
  #headers = h("pre.received", { tabindex: 0, "aria-label": "Headers" });
  #body = h("pre.received", { tabindex: 0, "aria-label": "Body" });
  #note = h("p.note", { role: "status", hidden: true });

  /** @param {(busy: boolean) => void} busy told when a request begins, and when it has ended */
  constructor(busy) {
    this.#busy = busy;
    this.element = h("div.shown", { hidden: true });
    fill(this.element, this.#head, this.#headers, this.#body, this.#note);
  }

  /** Give up the request that is under way. */
  stop() {
    this.#abort?.abort();
  }

  /** @param {Request} request */
  async send({ method, url, headers, body }) {
    const abort = (this.#abort = new AbortController());
    this.#busy(true);
    this.#clear();
    const sent = performance.now();
    try {
      const response = await fetch(url, { method, headers, body, signal: abort.signal });
      const took = Math.round(performance.now() - sent);
      fill(
        this.#head,
        h("code.status", { "data-ok": response.ok }, response.status),
        ` ${response.statusText}, after ${took} ms`,
      );
      setText(this.#headers, [...response.headers].map((pair) => pair.join(": ")).join("\n"));
      await this.#read(response);
    } catch (error) {
      this.#say(abort.signal.aborted ? "Stopped." : `No answer: ${error}`);
    } finally {
      this.#busy(false);
    }
  }

  #clear() {
    fill(this.#head, "…");
    setText(this.#headers, "");
    setText(this.#body, "");
    show(this.#note, false);
    show(this.element, true);
  }

  /** @param {string} text */
  #say(text) {
    setText(this.#note, text);
    show(this.#note, true);
  }

  /** @param {Response} response */
  async #read(response) {
    const type = response.headers.get("Content-Type") ?? "";
    if (!type.startsWith("text/event-stream")) {
      this.#show(await response.text(), /\bjson\b/.test(type));
      return;
    }
    let text = "";
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
      text = (text + piece.value).slice(-MOST);
      setText(this.#body, text);
    }
    this.#say("The server has ended the stream.");
  }

  /** @param {string} text @param {boolean} json */
  #show(text, json) {
    let shown = text;
    if (json && text.length <= MOST) {
      try {
        shown = written(parse(text), 2); // with its numbers as they were
      } catch {
        // It is shown as it came.
      }
    }
    setText(this.#body, shown.slice(0, MOST));
    if (shown.length > MOST) this.#say(`And ${shown.length - MOST} characters more.`);
  }
}
