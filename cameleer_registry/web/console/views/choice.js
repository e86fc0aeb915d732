// A choice among a few, all of which are in sight.

import { h, show } from "../dom.js";

/**
 * @param {string} name
 * @param {Record<string, string>} choices value to words
 */
export function radios(name, choices) {
  const inputs = Object.keys(choices).map(
    (value) =>
      /** @type {HTMLInputElement} */ (
        h("input", { type: "radio", name, value, id: `send-${name}-${value}` })
      ),
  );
  inputs[0].checked = true;
  return {
    /** @param {string} legend */
    element: (legend) =>
      h(
        `fieldset.choice.${name}`,
        null,
        h("legend", null, legend),
        ...inputs.map((input) =>
          h(
            "label",
            null,
            input,
            name === "type"
              ? h("span", null, h("b", null, input.value), h("small", null, choices[input.value]))
              : h("span", null, choices[input.value]),
          ),
        ),
      ),
    /** Offer a value, or do not. @param {string} value @param {boolean} offered */
    offer(value, offered) {
      const input = inputs.find((one) => one.value === value);
      if (!input) return;
      show(/** @type {HTMLElement} */ (input.parentElement), offered);
      if (!offered && input.checked) inputs[0].checked = true;
    },
    get value() {
      return inputs.find((input) => input.checked)?.value ?? "";
    },
    set value(value) {
      for (const input of inputs) input.checked = input.value === value;
    },
  };
}
