// The Markdown of descriptions, as far as they use it: paragraphs, lists, and `code`.

import { h } from "../console/dom.js";

/**
 * @param {string | undefined} text
 * @returns {HTMLElement[]} paragraphs and lists
 */
export function prose(text) {
  const blocks = (text ?? "").split(/\n\s*\n/).filter((block) => block.trim());
  return blocks.map((block) => {
    const items = block.split(/\n?^- /m).slice(1);
    if (!block.startsWith("- ")) return h("p", null, ...words(block));
    return h("ul.list", null, ...items.map((item) => h("li", null, ...words(item))));
  });
}

/**
 * @param {string} text one paragraph
 * @returns {(HTMLElement | string)[]}
 */
export const words = (text) =>
  text.split(/`([^`]+)`/).map((part, index) => (index % 2 ? h("code", null, part) : part));
