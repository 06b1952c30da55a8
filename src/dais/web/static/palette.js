// Ctrl-K: go anywhere, do anything, by typing. The server says what there is; nothing is known here.

import { ask, post, say } from "./parts.js";

const PAUSE_MS = 120;

let dialog = null;
let input = null;
let list = null;
let entries = [];
let at = 0;
let asked = 0;

export async function openPalette() {
  if (dialog?.open) return dialog.close();
  if (!dialog) build();
  input.value = "";
  show([]);
  dialog.showModal();
  await look();
}

function build() {
  dialog = document.createElement("dialog");
  dialog.className = "palette";
  dialog.setAttribute("aria-label", "Go to or do");
  input = document.createElement("input");
  Object.assign(input, { type: "search", placeholder: "Go to a page, a job, a folder; or do something", autocomplete: "off", spellcheck: false });
  for (const [name, value] of [["role", "combobox"], ["aria-expanded", "true"], ["aria-controls", "palette-list"], ["aria-label", "Go to or do"]]) input.setAttribute(name, value);
  list = document.createElement("ul");
  list.id = "palette-list";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "What there is");
  dialog.append(input, list);
  document.body.append(dialog);
  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  });
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && entries.length) choose((at + step + entries.length) % entries.length);
    else if (event.key === "Enter") run(entries[at]);
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("click", ({ target }) => {
    if (target === dialog) return dialog.close();
    const item = target.closest("li[role=option]");
    if (item) run(entries[[...list.children].indexOf(item)]);
  });
}

async function look() {
  const mine = ++asked;
  try {
    const found = await ask(`/palette?${new URLSearchParams({ q: input.value, here: location.pathname })}`);
    if (mine === asked) show(found.entries);
  } catch (error) {
    if (mine === asked) say(error.message, "failed");
  }
}

function show(found) {
  entries = found;
  list.replaceChildren(...found.map((entry, index) => {
    const item = document.createElement("li");
    item.id = `palette-${index}`;
    item.setAttribute("role", "option");
    const words = document.createElement("span");
    words.textContent = entry.words;
    const hint = document.createElement("span");
    hint.className = "hint";
    hint.textContent = entry.hint;
    item.append(words, hint);
    return item;
  }));
  choose(0);
}

function choose(index) {
  at = index;
  [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === index)));
  list.children[index]?.scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", list.children[index]?.id ?? "");
}

function run(entry) {
  if (!entry) return;
  dialog.close();
  if (entry.post) post(entry.address, entry.fields);
  else location.assign(entry.address);
}

