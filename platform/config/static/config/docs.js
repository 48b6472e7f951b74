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
  validatorUrl: null, // never tell a stranger's server what is documented here
});
