// The submit form: checked by the server while one types. What the form means is told by the server alone.

import { ask } from "./parts.js";

const PAUSE = 300; // milliseconds after the last key

const form = document.getElementById("submit");
const command = form.elements.command;
const touched = new Set(); // fields that were left once: what is wrong in others is told when they are submitted
let timer = null;
let turn = 0;
let chosen = command.value.includes("\n"); // whether the reader said how the command is run

offerRows();
document.getElementById("check").hidden = true;
form.addEventListener("input", ({ target }) => {
  if (target.name === "run") chosen = true;
  if (target === command && !chosen && command.value.includes("\n")) form.elements.run.value = "script";
  soon();
});
form.addEventListener("focusout", ({ target }) => {
  if (target.name && target.value) touched.add(keyOf(target));
  soon(0);
});
form.addEventListener("change", ({ target }) => {
  if (target.name) touched.add(keyOf(target));
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(form.querySelector("button.main"));
});
if (command.value) soon(0);
grow();

function soon(pause = PAUSE) {
  clearTimeout(timer);
  timer = setTimeout(look, pause);
}

async function look() {
  const mine = ++turn;
  let verdict;
  try {
    verdict = await ask("/submit/check", {
      method: "POST",
      headers: { Accept: "application/json", "Dais-Form": document.body.dataset.token },
      body: new URLSearchParams(new FormData(form)),
    });
  } catch (error) {
    if (mine === turn) state(error.message);
    return;
  }
  if (mine === turn) show(verdict);
}

function show({ line, yaml, words, room, wrong, warnings, note }) {
  const keys = Object.keys(wrong);
  tell(wrong);
  state(keys.length ? (command.value.trim() ? `Something is wrong; it is told at its field.${line.length ? "" : " The line is that of before."}` : "") : "It can be submitted.");
  document.getElementById("words").replaceChildren(...words.map((word) => element("code", word)));
  const shell = document.getElementById("command-note");
  shell.textContent = note;
  shell.hidden = !note;
  const list = document.getElementById("warnings");
  list.replaceChildren(...warnings.map((warning) => element("li", warning)));
  list.hidden = warnings.length === 0;
  for (const [name, text] of Object.entries(room)) hint(name, text);
  if (line.length) {
    fill("line", line.join(" "), "the command line", line);
    fill("yaml", yaml, "the job as YAML");
    document.getElementById("yaml-part").hidden = false;
  }
  document.getElementById("line").classList.toggle("old", !line.length);
}

// What is wrong, at its field; what is right again is not told any more.
function tell(wrong) {
  const active = document.activeElement;
  for (const control of form.querySelectorAll(".field [id^=field-]")) {
    const key = control.name;
    const box = control.closest(".field");
    const told = box.classList.contains("wrong");
    const text = wrong[key] ?? "";
    if (text && !told && (!touched.has(key) || control === active)) continue;
    box.classList.toggle("wrong", Boolean(text));
    if (text) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
    const notes = notesOf(box, control);
    const strong = notes.querySelector("strong") ?? notes.insertBefore(document.createElement("strong"), notes.firstChild);
    strong.textContent = text && `${text} `;
    notes.hidden = !notes.textContent.trim();
  }
  for (const rows of form.querySelectorAll("[data-rows]")) {
    const full = [...rows.querySelectorAll(".row")];
    let at = 0;
    for (const row of full) {
      const blank = [...row.querySelectorAll("input, textarea")].every((control) => !control.value.trim());
      const text = blank ? "" : wrong[`${rows.dataset.rows}[${at++}]`] ?? "";
      problem(row.querySelector(".row-problem"), row.contains(active) && !row.classList.contains("wrong") ? "" : text);
      row.classList.toggle("wrong", Boolean(row.querySelector(".row-problem strong").textContent));
    }
  }
  for (const place of form.querySelectorAll("[data-problem]")) problem(place, wrong[place.dataset.problem] ?? "");
  const whole = document.getElementById("form-problem");
  whole.replaceChildren();
  if (wrong[""]) {
    const text = element("p", wrong[""]);
    text.className = "problem";
    whole.append(text);
  }
}

function notesOf(box, control) {
  let notes = box.querySelector(".hint");
  if (!notes) {
    notes = element("p", "");
    notes.className = "hint";
    notes.id = `notes-${control.name}`;
    control.setAttribute("aria-describedby", notes.id);
    box.append(notes);
  }
  return notes;
}

function problem(place, text) {
  place.querySelector("strong").textContent = text;
  place.hidden = !text;
}

function hint(name, text) {
  const notes = form.elements[name]?.closest(".field")?.querySelector(".hint");
  const last = notes?.lastChild;
  if (last?.nodeType === Node.TEXT_NODE) last.data = text;
}

function fill(id, text, label, words = null) {
  const place = document.getElementById(id);
  if (place.querySelector("pre")?.textContent === text) return;
  const made = document.getElementById("listing").content.cloneNode(true);
  const [pre, button] = [made.querySelector("pre"), made.querySelector("button")];
  // Words are not broken at their hyphens.
  if (words) pre.append(...words.flatMap((word, index) => [...(index ? [" "] : []), element("span", word)]));
  else pre.textContent = text;
  pre.setAttribute("aria-label", label);
  button.dataset.copy = text;
  button.title = `Copy: ${label}`;
  button.querySelector(".unseen").textContent = `Copy: ${label}`;
  place.replaceChildren(made);
}

function state(text) {
  document.getElementById("state").textContent = text;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function keyOf(control) {
  return control.name;
}

// Rows are added and removed in the page; without this module the server does it.
function offerRows() {
  for (const rows of form.querySelectorAll("[data-rows]")) {
    const add = rows.querySelector(".row-add");
    const pattern = rows.querySelector(".row:last-of-type").cloneNode(true);
    for (const control of pattern.querySelectorAll("input, textarea")) control.value = "";
    add.type = "button";
    add.addEventListener("click", () => {
      const row = pattern.cloneNode(true);
      add.before(row);
      number(rows);
      row.querySelector(".row-remove").hidden = false;
      row.querySelector("input").focus();
    });
    for (const button of rows.querySelectorAll(".row-remove")) button.hidden = false;
  }
  form.addEventListener("click", ({ target }) => {
    const button = target.closest(".row-remove");
    if (!button) return;
    const rows = button.closest("[data-rows]");
    const row = button.closest(".row");
    if (rows.querySelectorAll(".row").length > 1) row.remove();
    else for (const control of row.querySelectorAll("input, textarea")) control.value = "";
    number(rows);
    rows.querySelector(".row-add").focus();
    soon(0);
  });
}

function number(rows) {
  for (const [index, row] of [...rows.querySelectorAll(".row")].entries()) {
    for (const control of row.querySelectorAll("[aria-label]")) {
      control.setAttribute("aria-label", control.getAttribute("aria-label").replace(/ \d+$/, ` ${index + 1}`));
    }
  }
}

// The command has as many lines as it needs.
function grow() {
  const fit = () => { command.rows = Math.min(20, Math.max(3, command.value.split("\n").length + 1)); };
  command.addEventListener("input", fit);
  fit();
}
