"use strict";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

SwaggerUIBundle({
  dom_id: "#swagger-ui",
  // Relative to the page, so that it is right under any mount prefix.
  url: "api/v1/openapi.json",
  // Nothing is asked of another host, swagger.io's validator included.
  validatorUrl: null,
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  requestInterceptor: (request) => {
    request.headers["X-Cameleer-Protocol-Version"] ??= "1";
    return request;
  },
});
