// Numbers, times and ages in words.

import { serverNow } from "./clock.js";

const NUMBER = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const MOMENT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** @param {number} value */
export const number = (value) => NUMBER.format(value);

/**
 * "1 agent", "2,000 agents".
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export const counted = (count, one, many = `${one}s`) =>
  `${NUMBER.format(count)} ${count === 1 ? one : many}`;

/** "97 %", and never 0 % or 100 % of what is not.
 * @param {number} part
 * @param {number} whole
 */
export function percent(part, whole) {
  if (!whole) return "–";
  const share = (part / whole) * 100;
  if (share > 0 && share < 1) return "< 1 %";
  if (share > 99 && share < 100) return "> 99 %";
  return `${Math.round(share)} %`;
}

/** The time of day, as the reader's clock has it.
 * @param {string} at RFC 3339
 */
export const timeOfDay = (at) => TIME.format(new Date(at));

/** Date and time of day, as the reader's clock has it.
 * @param {string} at RFC 3339
 */
export const moment = (at) => MOMENT.format(new Date(at));

/**
 * "12 s", "4 min", "3 h", "9 d": one unit, rounded down, as fits a narrow column.
 * @param {number} milliseconds
 */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** How long ago that was, by the server's clock.
 * @param {string} at RFC 3339
 */
export const age = (at) => duration(serverNow() - Date.parse(at));

/** How long it is until then, by the server's clock; "0 s" once it is over.
 * @param {string} at RFC 3339
 */
export const remaining = (at) => duration(Date.parse(at) - serverNow() + 999);

/**
 * A line of text as one line of text: controls and direction marks, which could make a name look
 * like another or turn what stands around it, are shown as what they are.
 * @param {string} text
 */
export function plain(text) {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (sign) => `\u27e8U+${sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`,
  );
}
