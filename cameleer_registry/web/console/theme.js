// Sets the theme that was chosen, before anything is painted; hence no module, which would wait.
"use strict";
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("cameleer.theme");
  } catch {
    // Storage may be forbidden: then the system's theme it is.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
