// JSON Schemas in words: what a value may be, in a line; the members of an object, in a table.

import { h } from "../console/dom.js";
import { prose, words } from "./prose.js";

/** @typedef {import("./document.js").Document} Document */
/** @typedef {import("./document.js").Schema} Schema */
/** @typedef {Node | string} Part */

const MODELS = "#/components/schemas/";

/**
 * Say what a value may be; models are led to by their names.
 * @param {Schema} schema
 * @returns {Part[]}
 */
export function typeOf(schema) {
  if (schema === true || schema === undefined) return ["anything"];
  if (schema === false) return ["absent"];
  if (schema.$ref) return [linkTo(schema.$ref)];
  if ("const" in schema) return [h("code", null, JSON.stringify(schema.const))];
  if (schema.enum) return between(" or ", schema.enum.map(asCode));
  for (const key of ["anyOf", "oneOf"]) {
    if (schema[key] && !schema.properties) return between(" or ", schema[key].map(typeOf));
  }
  if (schema.allOf) return between(" and ", schema.allOf.map(typeOf));
  if (schema.contentSchema)
    return [`${schema.contentMediaType} of `, ...typeOf(schema.contentSchema)];
  if (schema.type === "array") return ["array of ", ...typeOf(schema.items)];
  if (schema.properties) return ["{ ", ...inline(schema), " }"];
  if (schema.additionalProperties) return ["object of ", ...typeOf(schema.additionalProperties)];
  const type = [schema.type ?? "anything"].flat().join(" or ");
  return [schema.format ? `${type} (${schema.format})` : type];
}

/** @param {string} reference */
function linkTo(reference) {
  const name = reference.slice(MODELS.length);
  return h("a.text", { href: `docs#model-${name}` }, name);
}

/** @param {any} value @returns {Part[]} */
const asCode = (value) => [h("code", null, JSON.stringify(value))];

/**
 * @param {string} separator
 * @param {Part[][]} groups
 */
const between = (separator, groups) =>
  groups.flatMap((group, index) => (index ? [separator, ...group] : group));

/** @param {Schema} schema */
const inline = (schema) =>
  between(
    ", ",
    Object.entries(schema.properties).map(([name, one]) => [`${name}: `, ...typeOf(one)]),
  );

/** Bounds, by the keyword that sets them. @type {[string, (value: any) => string][]} */
const BOUNDS = [
  ["minLength", (n) => `at least ${n} characters`],
  ["maxLength", (n) => `at most ${n} characters`],
  ["minimum", (n) => `${n} or more`],
  ["maximum", (n) => `${n} or less`],
  ["minItems", (n) => `at least ${n} of them`],
  ["maxItems", (n) => `at most ${n} of them`],
  ["pattern", (pattern) => `matches ${pattern}`],
];

/**
 * Say within which bounds a value has to be.
 * @param {Schema} schema
 * @returns {Part[]}
 */
export function boundsOf(schema) {
  const bounds = BOUNDS.flatMap(([key, say]) => (key in Object(schema) ? [say(schema[key])] : []));
  return bounds.length ? [h("span.bounds", null, bounds.join("; "))] : [];
}

/**
 * The members of an object, or nothing where it says of none.
 * @param {Schema} schema
 */
function members(schema) {
  const entries = Object.entries(schema.properties ?? {});
  if (!entries.length) return null;
  const required = new Set(schema.required);
  return h(
    "dl.members",
    null,
    ...entries.flatMap(([name, one]) => [
      h("dt", null, h("code", null, name), required.has(name) ? h("em", null, " required") : null),
      h(
        "dd",
        null,
        h("div.type", null, ...typeOf(one), ...boundsOf(one)),
        one.description ? h("div", null, ...words(one.description)) : null,
      ),
    ]),
  );
}

/**
 * All that is said of a model.
 * @param {Document} api
 * @param {Schema} schema
 * @returns {Node[]}
 */
export function model(api, schema) {
  const parts = /** @type {(Node | null)[]} */ ([...prose(schema.description)]);
  const table = members(schema);
  if (!table) parts.push(h("p.type", null, ...typeOf(schema), ...boundsOf(schema)));
  else parts.push(table);
  for (const [key, said] of [
    ["allOf", "And"],
    ["oneOf", "One of these"],
    ["anyOf", "Any of these"],
  ]) {
    const several = (schema[key] ?? []).filter((/** @type {Schema} */ one) => one.properties);
    for (const one of several) {
      parts.push(h("p.of", null, one === several[0] ? said : "or"), members(one));
    }
  }
  return parts.filter((part) => part !== null);
}
