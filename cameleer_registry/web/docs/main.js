// The page: reads the document, and shows each operation and each model of it in its place.
//
// Everything is drawn from the document, so that nothing here knows what the API can do. What is
// folded is drawn when it is opened.

import { fill, h } from "../console/dom.js";
import { Document } from "./document.js";
import { operation } from "./operation.js";
import { model } from "./schema.js";
import { prose } from "./prose.js";

/**
 * @param {string} id by which an address can lead to it
 * @param {string} name the element's, with its classes
 * @param {Node[]} summary
 * @param {() => Node[]} body made when it is first opened
 */
function folded(id, name, summary, body) {
  const inside = h("div.inside", null);
  const element = h(name, { id, toggle: draw }, h("summary", null, ...summary), inside);
  function draw() {
    if (/** @type {HTMLDetailsElement} */ (element).open && !inside.firstChild)
      fill(inside, ...body());
  }
  return element;
}

/** Open what the address leads to, so that it is there to be scrolled to. */
function followAddress() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!(target instanceof HTMLDetailsElement)) return;
  target.open = true;
  target.scrollIntoView();
  target.querySelector("summary")?.focus({ preventScroll: true });
}

/** @param {Document} api */
function navigation(api) {
  return h(
    "nav",
    { "aria-label": "Operations" },
    ...api.tags.flatMap((tag) => [
      h("h2", null, tag.name),
      h(
        "ul",
        null,
        ...tag.operations.map((one) =>
          h(
            "li",
            null,
            h("a", { href: `docs#${one.id}` }, h(`span.method.${one.method}`, null, one.method)),
            h("a.title", { href: `docs#${one.id}` }, one.summary),
          ),
        ),
      ),
    ]),
    h("h2", null, h("a", { href: "docs#models" }, "Models")),
  );
}

/** @param {Document} api */
function contents(api) {
  const { title, version, summary, description } = api.info;
  return h(
    "main",
    null,
    h("h1", null, title, " ", h("small", null, version)),
    h("p.lead", null, summary),
    ...prose(description),
    h("p", null, h("a.text", { href: "api/v1/openapi.json" }, "The document, in OpenAPI")),
    ...api.tags.flatMap((tag) => [
      h("h2.tag", null, tag.name),
      ...prose(tag.description),
      ...tag.operations.map((one) =>
        folded(
          one.id,
          `details.operation.${one.method}`,
          [
            h(`span.method.${one.method}`, null, one.method),
            h("code.path", null, one.path),
            h("span.title", null, one.summary),
          ],
          () => operation(api, one),
        ),
      ),
    ]),
    h("h2.tag", { id: "models" }, "Models"),
    ...api.models.map(([name, schema]) =>
      folded(`model-${name}`, "details.model", [h("code.path", null, name)], () =>
        model(api, schema),
      ),
    ),
  );
}

async function start() {
  const response = await fetch(new URL("api/v1/openapi.json", document.baseURI));
  if (!response.ok) throw new Error(`it was answered ${response.status}`);
  const api = new Document(await response.json());
  fill(document.body, navigation(api), contents(api));
  addEventListener("hashchange", followAddress);
  followAddress();
}

start().catch((error) => {
  const reason = error instanceof Error ? error.message : String(error);
  fill(
    document.body,
    h("main", null, h("p", { role: "alert" }, `The document cannot be read: ${reason}.`)),
  );
});
