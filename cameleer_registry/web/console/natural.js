// The order of names as people have it: 2 before 10, whatever the case.

/** @type {Map<string, string>} */
const keys = new Map();

/** Keys that are remembered. */
const MOST = 5000;

/**
 * Return a text whose plain order is the natural order of names. Each number is preceded by how long
 * it is: far cheaper to compare than with Intl.Collator, in a table of 10,000 rows.
 * @param {string} name
 */
export function naturalKey(name) {
  return name.toLowerCase().replace(/\d+/g, (digits) => {
    const value = digits.replace(/^0+(?=\d)/, "");
    return "9".repeat(Math.floor(value.length / 9)) + (value.length % 9) + value;
  });
}

/** The same, remembered: for what there are few of. @param {string} name */
export function keyOf(name) {
  let key = keys.get(name);
  if (key === undefined) {
    if (keys.size >= MOST) keys.clear();
    keys.set(name, (key = naturalKey(name)));
  }
  return key;
}

/** @param {string} a @param {string} b */
export const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** @param {string} a @param {string} b */
export const natural = (a, b) => order(keyOf(a), keyOf(b)) || order(a, b);
