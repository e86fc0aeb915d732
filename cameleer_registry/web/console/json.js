// JSON without loss: checked as it is typed, and shown as it was written.
//
// The check finds the first fault, in words and with its place, the same in every browser, and what
// the server would refuse as well. The browser's own parser makes another number of many a one that
// stands in a payload (9007199254740993, 1.0): such a number is kept as the text it was.

/** @typedef {{message: string, line: number, column: number, offset: number}} Fault */

/** The server's bounds: integers are 64 bits, and nesting counts the command around the payload. */
const INTEGERS = { least: -(2n ** 63n), most: 2n ** 64n - 1n };
const DEEPEST = 127;

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** What a number begins with that is kept as text: other for each page, so that nobody can name it. */
const MARK = `number ${crypto.getRandomValues(new Uint32Array(4)).join("-")} `;

const TEXT_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
const KEPT = new RegExp(`"${MARK}([^"]*)"`, "g");

/**
 * Parse JSON, with all of its numbers as they can be written again by `written`; raises SyntaxError.
 * @param {string} text
 * @returns {any}
 */
export function parse(text) {
  const kept = text.replace(TEXT_OR_NUMBER, (found) =>
    found.startsWith('"') || String(Number(found)) === found ? found : `"${MARK}${found}"`,
  );
  return JSON.parse(kept);
}

/**
 * Write what `parse` has read, with every number as it was.
 * @param {unknown} value
 * @param {number} [indent]
 */
export const written = (value, indent) =>
  JSON.stringify(value, null, indent).replace(KEPT, (_, number) => number);

class Refusal extends Error {
  /** @param {string} message @param {number} offset */
  constructor(message, offset) {
    super(message);
    this.offset = offset;
  }
}

/**
 * Find the first fault of what should be a JSON object; null where there is none. An empty text is
 * none, either: the payload may be left out.
 * @param {string} text
 * @returns {Fault | null}
 */
export function faultOf(text) {
  if (!text.trim()) return null;
  try {
    new Checker(text).check();
    return null;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const before = text.slice(0, error.offset).split("\n");
    const column = (before.at(-1) ?? "").length + 1;
    return { message: error.message, line: before.length, column, offset: error.offset };
  }
}

class Checker {
  #at = 0;

  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }

  check() {
    this.#space();
    if (this.text[this.#at] !== "{") {
      this.#value(0); // what is no JSON at all is told as that
      throw new Refusal("The payload must be an object: { … }", this.text.search(/\S/));
    }
    this.#value(0);
    this.#space();
    if (this.#at < this.text.length) this.#refuse("Nothing may follow the object");
  }

  /** @param {number} depth */
  #value(depth) {
    const sign = this.text[this.#at];
    if (depth >= DEEPEST && (sign === "{" || sign === "[")) this.#refuse("Nested too deeply");
    if (sign === "{") this.#object(depth);
    else if (sign === "[") this.#array(depth);
    else if (sign === '"') this.#string();
    else if (sign === "-" || (sign >= "0" && sign <= "9")) this.#number();
    else this.#word();
  }

  /** @param {number} depth */
  #object(depth) {
    this.#at += 1;
    this.#space();
    if (this.#skip("}")) return;
    for (;;) {
      if (this.text[this.#at] !== '"') this.#refuse("Expected a key in double quotes");
      this.#string();
      this.#space();
      if (!this.#skip(":")) this.#refuse("Expected a colon after the key");
      this.#space();
      this.#value(depth + 1);
      this.#space();
      if (this.#skip("}")) return;
      if (!this.#skip(",")) this.#refuse("Expected a comma or }");
      this.#space();
      if (this.text[this.#at] === "}") this.#refuse("A comma must not stand before }");
    }
  }

  /** @param {number} depth */
  #array(depth) {
    this.#at += 1;
    this.#space();
    if (this.#skip("]")) return;
    for (;;) {
      this.#value(depth + 1);
      this.#space();
      if (this.#skip("]")) return;
      if (!this.#skip(",")) this.#refuse("Expected a comma or ]");
      this.#space();
      if (this.text[this.#at] === "]") this.#refuse("A comma must not stand before ]");
    }
  }

  #string() {
    const start = this.#at;
    this.#at += 1;
    for (;;) {
      this.#match(PLAIN);
      const sign = this.text[this.#at];
      if (sign === '"') break;
      if (sign === undefined || sign === "\n" || sign === "\r") {
        throw new Refusal("This text has no closing quote", start);
      }
      if (sign !== "\\") this.#refuse("Control characters must be written as \\u00…");
      if (this.#match(ESCAPE) === null) this.#refuse("No such escape after the backslash");
    }
    this.#at += 1;
    const written = this.text.slice(start, this.#at);
    if (!JSON.parse(written).isWellFormed()) throw new Refusal("Half of a surrogate pair", start);
  }

  #number() {
    const start = this.#at;
    const found = this.#match(NUMBER);
    if (found === null) this.#refuse("Expected digits after the minus sign");
    else if (/[\w.]/.test(this.text[this.#at] ?? "")) {
      throw new Refusal("This is not a JSON number", start);
    } else if (found[1] === undefined && found[2] === undefined) {
      const value = BigInt(found[0]);
      if (value < INTEGERS.least || value > INTEGERS.most) {
        throw new Refusal("This integer does not fit into 64 bits: send it as text", start);
      }
    } else if (!Number.isFinite(Number(found[0]))) {
      throw new Refusal("This number is too large", start);
    }
  }

  #word() {
    const start = this.#at;
    const word = /[^\s,:{}[\]"]*/y;
    word.lastIndex = start;
    const found = word.exec(this.text)?.[0] ?? "";
    this.#at += found.length;
    if (found === "true" || found === "false" || found === "null") return;
    if (start >= this.text.length) throw new Refusal("It ends too early", start);
    if (found.startsWith("'")) throw new Refusal("Text needs double quotes", start);
    throw new Refusal(found ? `“${found.slice(0, 20)}” is not a value` : "Expected a value", start);
  }

  /** @param {RegExp} pattern */
  #match(pattern) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text);
    if (found) this.#at += found[0].length;
    return found;
  }

  #space() {
    this.#match(SPACE);
  }

  /** @param {string} sign */
  #skip(sign) {
    if (this.text[this.#at] !== sign) return false;
    this.#at += 1;
    return true;
  }

  /** @param {string} message @returns {never} */
  #refuse(message) {
    const early = this.#at >= this.text.length;
    throw new Refusal(early ? `It ends too early. ${message}` : message, this.#at);
  }
}
