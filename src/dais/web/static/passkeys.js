// Passkeys: signing in with one, and making one. Without JavaScript, or a browser that has them, nothing of it shows.

import { ask } from "./parts.js";

const able = Boolean(window.PublicKeyCredential?.parseRequestOptionsFromJSON && navigator.credentials);

function send(address, body, token) {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  if (token) headers["dais-form"] = token;
  return ask(address, { method: "POST", headers, body: JSON.stringify(body) });
}

// Whoever closes the browser's dialog has said no: that is no failure to be told of.
function tell(place, error) {
  place.hidden = error.name === "NotAllowedError";
  place.textContent = place.hidden ? "" : error.message;
}

async function show(button) {
  const { passkey: address, next, formToken: token } = button.dataset;
  const options = await send(`${address}/ask`, {}, token);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const shown = await navigator.credentials.get({ publicKey });
  const { to } = await send(address, { answer: shown.toJSON(), next }, token);
  location.assign(to);
}

async function make(form) {
  const token = document.body.dataset.token;
  const given = new FormData(form);
  const options = await send("/settings/passkeys/ask", { password: given.get("password") ?? "" }, token);
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const made = await navigator.credentials.create({ publicKey });
  const { to } = await send("/settings/passkeys", { answer: made.toJSON(), name: given.get("name") ?? "" }, token);
  location.assign(to);
}

async function attempt(work, control, place) {
  control.disabled = true;
  place.hidden = true;
  try {
    await work();
  } catch (error) {
    tell(place, error);
  } finally {
    control.disabled = false;
  }
}

if (able) {
  for (const button of document.querySelectorAll("button[data-passkey]")) {
    const place = button.parentElement.querySelector("[data-passkey-said]");
    button.hidden = false;
    button.addEventListener("click", () => attempt(() => show(button), button, place));
  }
  for (const form of document.querySelectorAll("form[data-new-passkey]")) {
    form.hidden = false;
    document.querySelector("[data-no-passkeys]").hidden = true;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(() => make(form), form.querySelector("button"), form.querySelector("[data-passkey-said]"));
    });
  }
}
