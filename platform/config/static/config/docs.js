"use strict";

const names = [...document.querySelectorAll("[data-document]")].map((link) => link.dataset.document);
const wanted = new URLSearchParams(location.search).get("api");
const name = names.includes(wanted) ? wanted : names[0];
document.querySelector(`[data-document="${name}"]`).setAttribute("aria-current", "page");

SwaggerUIBundle({
  url: `/docs/${name}.json`,
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: true,
  displayOperationId: false,
  // Where the session of a browser counts at the API: what a page of ours sends says so.
  requestInterceptor: (request) => {
    const token = document.querySelector("#swagger-ui").dataset.csrfToken;
    if (token && new URL(request.url, location.href).origin === location.origin) request.headers["X-CSRFToken"] = token;
    return request;
  },
  validatorUrl: null, // never tell a stranger's server what is documented here
});
