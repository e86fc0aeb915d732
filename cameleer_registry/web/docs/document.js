// An OpenAPI document (3.1), as far as this page has to know its way in it.

/** @typedef {any} Schema a JSON Schema: an object, or a boolean */
/** @typedef {{name: string, in: string, description?: string, required?: boolean, schema: Schema, example?: any}} Parameter */
/** @typedef {{status: string, description: string, content: [string, any][], headers: [string, any][]}} Response */

/**
 * @typedef {object} Operation
 * @property {string} id
 * @property {string} method in capitals
 * @property {string} path
 * @property {string} summary
 * @property {string} [description]
 * @property {Parameter[]} parameters
 * @property {{required: boolean, type: string, schema: Schema, example: any} | null} body
 * @property {Response[]} responses
 */

/** What HEAD answers is what GET does, without the body: once is enough to read. */
const METHODS = ["get", "put", "post", "delete", "patch"];

export class Document {
  /** @param {any} raw */
  constructor(raw) {
    this.raw = raw;
    /** @type {{title: string, version: string, summary?: string, description?: string}} */
    this.info = raw.info;
    /** @type {[string, Schema][]} */
    this.models = Object.entries(raw.components?.schemas ?? {}).sort(([a], [b]) =>
      a < b ? -1 : 1,
    );
    const operations = this.#operations();
    /** @type {{name: string, description?: string, operations: Operation[]}[]} */
    this.tags = raw.tags.map((/** @type {any} */ tag) => ({
      ...tag,
      operations: operations.flatMap(([name, one]) => (name === tag.name ? [one] : [])),
    }));
  }

  /**
   * Return what a reference leads to; what is none is returned as it is.
   * @param {any} value
   */
  resolve(value) {
    if (typeof value?.$ref !== "string") return value;
    const parts = value.$ref.slice(2).split("/");
    return parts.reduce(
      (/** @type {any} */ at, /** @type {string} */ part) =>
        at[decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~")],
      this.raw,
    );
  }

  /** @returns {[string, Operation][]} each with the name of its tag */
  #operations() {
    const found = /** @type {[string, Operation][]} */ ([]);
    for (const [path, item] of Object.entries(this.raw.paths)) {
      for (const method of METHODS) {
        if (method in item) found.push([item[method].tags[0], this.#operation(path, method, item)]);
      }
    }
    return found.sort(([, a], [, b]) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  }

  /** @param {string} path @param {string} method @param {any} item @returns {Operation} */
  #operation(path, method, item) {
    const raw = item[method];
    const parameters = [...(item.parameters ?? []), ...(raw.parameters ?? [])];
    return {
      id: raw.operationId,
      method: method.toUpperCase(),
      path,
      summary: raw.summary,
      description: raw.description,
      parameters: parameters.map((one) => this.resolve(one)),
      body: this.#body(this.resolve(raw.requestBody)),
      responses: Object.entries(raw.responses).map(([status, response]) => {
        const { description, content = {}, headers = {} } = this.resolve(response);
        return {
          status,
          description,
          content: Object.entries(content),
          headers: Object.entries(headers).map(([name, one]) => [name, this.resolve(one)]),
        };
      }),
    };
  }

  /** @param {any} raw */
  #body(raw) {
    if (!raw) return null;
    const [[type, media]] = /** @type {[string, any][]} */ (Object.entries(raw.content));
    const { required = false } = raw;
    return { required, type, schema: media.schema, example: exampleOf(media) };
  }
}

/**
 * Return the first example of a body, or undefined.
 * @param {any} media
 */
export function exampleOf(media) {
  if ("example" in media) return media.example;
  const [first] = /** @type {any[]} */ (Object.values(media.examples ?? {}));
  return first?.value;
}
