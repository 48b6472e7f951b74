// Sends the token of a mailed link, and what was filled in, to the API; says what became of it.
const form = document.getElementById("link");
const said = document.getElementById("said");
const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
history.replaceState(null, "", location.pathname);  // not for the browser's history

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const values = new FormData(form);
  const body = { token };
  if (values.get("name")) body.name = values.get("name");
  if (form.dataset.password) body[form.dataset.password] = values.get("password");
  form.querySelector("button").disabled = true;
  let problem = { detail: "The server cannot be reached. Try again." };
  try {
    const response = await fetch(form.dataset.endpoint, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    if (response.ok) {
      said.textContent = form.dataset.done;
      form.hidden = true;
      return;
    }
    problem = await response.json();
  } catch { /* said below */ }
  said.textContent = (problem.errors || []).map((error) => error.detail).join(" ") || problem.detail;
  form.querySelector("button").disabled = false;
});
