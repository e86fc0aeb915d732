// What is shown, as a file: CSV for spreadsheets, JSON for programs.

import { h } from "./dom.js";
import { written } from "./json.js";

/** A spreadsheet takes a cell that begins with one of these for a formula, and carries it out. */
const FORMULA = /^[=+\-@\t\r]/;

/**
 * @param {unknown} value
 * @returns {string} a cell of CSV (RFC 4180)
 */
function cell(value) {
  if (value === null || value === undefined) return "";
  const whole = written(value);
  const isText = typeof value === "string" && whole.startsWith('"'); // or a number, kept as it was
  const text = !isText ? whole : FORMULA.test(value) ? `'${value}` : value;
  return /["\r\n,]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Return rows as CSV, with a line of titles. A text that a spreadsheet would take for a formula is
 * preceded by an apostrophe: names and messages are what agents say, and no one has checked them.
 * @param {string[]} columns
 * @param {Record<string, unknown>[]} rows
 */
export const csv = (columns, rows) =>
  [columns, ...rows.map((row) => columns.map((column) => row[column]))]
    .map((cells) => `${cells.map(cell).join(",")}\r\n`)
    .join("");

/** @param {Record<string, unknown>[]} rows */
export const json = (rows) => `${written(rows, 2)}\n`;

/** @typedef {"csv" | "json"} Format */

/** @type {Record<Format, string>} */
const TYPES = { csv: "text/csv;charset=utf-8", json: "application/json" };

/**
 * Hand a file to the browser.
 * @param {string} name without its suffix; the time is added
 * @param {Format} format
 * @param {string[]} columns of the CSV
 * @param {Record<string, unknown>[]} rows
 */
export function download(name, format, columns, rows) {
  // Excel takes a file without a byte order mark for one of the system's old code page.
  const text = format === "csv" ? `\ufeff${csv(columns, rows)}` : json(rows);
  const url = URL.createObjectURL(new Blob([text], { type: TYPES[format] }));
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "").replace("T", "-");
  const link = h("a", { href: url, download: `${name}-${stamp}Z.${format}` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
