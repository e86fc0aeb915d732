// How far the registry had come when it last answered. It may have several nodes, one of which may
// be a moment behind another: a request that brings this along is answered when its node has come
// as far.

const NAME = "X-Cameleer-Position";

/** What stands before the last number, and that number. */
const NUMBERED = /^(.*?)(\d{1,30})$/;

/** @type {string | null} null until an answer has told of one */
let furthest = null;

/** What to send along with a request. @returns {Record<string, string>} */
export const positionHeaders = () => (furthest === null ? {} : { [NAME]: furthest });

/**
 * Take note of what an answer says. Answers may overtake each other: of two positions that differ in
 * their last number only, the greater one counts; of any others, the one that came last.
 * @param {Response} response
 */
export function heardPosition(response) {
  const said = response.headers.get(NAME);
  if (said === null || said.length > 256) return;
  if (furthest === null || !isBehind(said, furthest)) furthest = said;
}

/** @param {string} one @param {string} other */
function isBehind(one, other) {
  const [a, b] = [NUMBERED.exec(one), NUMBERED.exec(other)];
  return a !== null && b !== null && a[1] === b[1] && BigInt(a[2]) < BigInt(b[2]);
}
