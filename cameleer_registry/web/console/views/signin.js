// Signing in: in front of everything else, which stays as it was behind it.

import { fill, h, show } from "../dom.js";
import { plain } from "../format.js";
import { refusal } from "./parts.js";

export class SignIn {
  #dialog;
  #why = h("p.warning");
  #token = /** @type {HTMLInputElement} */ (
    h("input", {
      id: "signin-token",
      type: "password",
      name: "token",
      autocomplete: "current-password",
      spellcheck: "false",
      required: true,
    })
  );
  #problem = h("div");
  #submit = /** @type {HTMLButtonElement} */ (h("button.primary", { type: "submit" }, "Sign in"));
  /** Whether it may be left without signing in. */
  #optional = false;
  #cancel = h("button.quiet", { type: "button", click: () => this.#dialog.close() }, "Cancel");

  /** Opens a session; set before it is shown. @type {(token: string) => Promise<void>} */
  signIn = async () => {};

  constructor() {
    this.#dialog = /** @type {HTMLDialogElement} */ (
      h(
        "dialog.signin",
        { "aria-labelledby": "signin-title" },
        h(
          "form",
          { novalidate: true, submit: (event) => void this.#submitted(event) },
          h("h2", { id: "signin-title" }, "Sign in"),
          this.#why,
          h(
            "div.field",
            null,
            h("label", { for: "signin-token" }, "Token"),
            this.#token,
            h(
              "p.hint",
              null,
              "An operator's token, which begins with ",
              h("code", null, "camo_"),
              ". The browser keeps a session in its place, which no script can read.",
            ),
          ),
          this.#problem,
          h("div.buttons", null, this.#cancel, this.#submit),
        ),
      )
    );
    // Nothing can be seen or done before it, so Escape does not lead past it.
    this.#dialog.addEventListener("cancel", (event) => {
      if (!this.#optional) event.preventDefault();
    });
    this.#dialog.addEventListener("close", () => {
      if (!this.#optional && !this.#done) this.#dialog.showModal(); // browsers let a second Escape pass
    });
    document.body.append(this.#dialog);
  }

  #done = false;

  /** @param {string} why @param {boolean} [optional] whether it may be left */
  open(why, optional = false) {
    this.#optional = optional;
    this.#done = false;
    show(this.#cancel, optional);
    show(this.#why, why !== "");
    fill(this.#why, plain(why));
    fill(this.#problem);
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#token.focus();
  }

  /** @param {SubmitEvent} event */
  async #submitted(event) {
    event.preventDefault();
    const token = this.#token.value.trim();
    if (!token || this.#submit.disabled) return;
    this.#submit.disabled = true;
    fill(this.#problem);
    try {
      await this.signIn(token);
      this.#token.value = "";
      this.#done = true;
      this.#dialog.close();
    } catch (error) {
      fill(this.#problem, refusal(error));
      this.#token.select();
    }
    this.#submit.disabled = false;
  }
}
