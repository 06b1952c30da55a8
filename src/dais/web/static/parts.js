// What modules of pages share.

const SAID_MS = 4000;

// A word in the corner that goes by itself. `kind` "failed" is for what went wrong, and stays longer.
export function say(text, kind = "") {
  const toast = document.createElement("p");
  toast.className = `toast ${kind}`.trim();
  toast.textContent = text;
  document.getElementById("said").append(toast);
  setTimeout(() => toast.remove(), kind === "failed" ? 3 * SAID_MS : SAID_MS);
  return toast;
}

// Rendered rows or lines, taken apart into elements. What comes from the server was escaped there.
export function elements(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return [...template.content.children];
}

// Whether a key that was pressed is text for a field, and no command.
export function typing(event) {
  return event.ctrlKey || event.metaKey || event.altKey
    || event.target.matches?.("input, select, textarea, [contenteditable]")
    || document.querySelector("dialog[open]") !== null;
}

// Ask the server for JSON. What it refuses is thrown, with the words that it gave.
export async function ask(address, options = {}) {
  const answer = await fetch(address, { headers: { Accept: "application/json" }, ...options });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? `the server answered ${answer.status}`);
  return body;
}

// Do what a form of this page would do, with its token, and go where the answer leads.
export function post(address, fields = {}) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = address;
  form.hidden = true;
  for (const [name, value] of Object.entries({ token: document.body.dataset.token, ...fields })) {
    const input = document.createElement("input");
    input.type = "hidden";
    input.name = name;
    input.value = value;
    form.append(input);
  }
  document.body.append(form);
  form.submit();
}
