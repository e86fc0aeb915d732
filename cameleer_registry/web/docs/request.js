// A request, put together from what was typed: for fetch, and for curl.

/** @typedef {import("./document.js").Operation} Operation */
/** @typedef {{parameter: import("./document.js").Parameter, value: string}} Value */

export class Request {
  /** @type {Record<string, string>} */
  headers = {};

  /**
   * @param {Operation} operation
   * @param {Value[]} values what stands in the fields; what is empty is left out
   * @param {string | null} body null where the operation takes none
   */
  constructor({ method, path, body: declared }, values, body) {
    this.method = method;
    let address = path;
    const query = new URLSearchParams();
    for (const { parameter, value } of values) {
      if (parameter.in === "path")
        address = address.replace(`{${parameter.name}}`, encodeURIComponent(value));
      else if (value === "") continue;
      else if (parameter.in === "header") this.headers[parameter.name] = value;
      else query.append(parameter.name, value);
    }
    // Relative to the page, so that it is right under any mount prefix.
    this.url = new URL(address.slice(1), document.baseURI);
    this.url.search = String(query);
    /** @type {string | undefined} */
    this.body = body || undefined;
    if (declared && this.body !== undefined) this.headers["Content-Type"] = declared.type;
  }
}

/**
 * Return a line for a shell that sends the same.
 * @param {Request} request
 */
export function curl({ method, url, headers, body }) {
  const options = method === "GET" ? ["-N"] : ["-X", method];
  for (const [name, value] of Object.entries(headers))
    options.push("-H", quoted(`${name}: ${value}`));
  if (body !== undefined) options.push("--data-binary", quoted(body));
  return ["curl", ...options, quoted(String(url))].join(" ");
}

/** @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
