// What every page has: times that go on, things to copy, menus that close, tables that sort, keys.

import { openPalette } from "./palette.js";
import { say } from "./parts.js";

const units = [[86400, "d"], [3600, "h"], [60, "min"]];

function age(instant) {
  const seconds = Math.floor((Date.now() - Date.parse(instant)) / 1000);
  if (seconds < 5) return "just now";
  const [size, unit] = units.find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

function refreshTimes() {
  for (const time of document.querySelectorAll("time:not([data-exact])")) {
    const text = age(time.dateTime);
    if (time.textContent !== text) time.textContent = text;
  }
}

// The reader's own clock, beside UTC, for whoever points at a time.
document.addEventListener("pointerover", ({ target }) => {
  const time = target.closest?.("time[datetime]");
  if (!time || time.dataset.local) return;
  time.dataset.local = "yes";
  const local = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
  time.title = `${time.title || time.textContent}\n${local}`;
});

// Buttons that copy show themselves, also those that come later.
function offerCopies() {
  if (!navigator.clipboard) return;
  const show = (root) => { for (const button of root.querySelectorAll("button.copy[hidden]")) button.hidden = false; };
  show(document);
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE) show(node.parentNode ?? node);
    }
  }).observe(document.body, { childList: true, subtree: true });
}

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("button.copy");
  if (button) {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("done");
    say("Copied");
    setTimeout(() => button.classList.remove("done"), 2000);
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
  const header = target.closest("th button");
  if (header) sort(header.closest("th"));
});

// Menus close with Escape, and give the focus back.
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.activeElement?.closest("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey) {
    event.preventDefault();
    openPalette();
  }
});

// Lists in menus are filtered by typing.
for (const menu of document.querySelectorAll("details.menu[data-filter]")) {
  const input = menu.querySelector("input[type=search]");
  const items = [...menu.querySelectorAll("li")];
  input.hidden = false;
  menu.addEventListener("toggle", () => { if (menu.open) input.focus(); });
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const item of items) item.hidden = !item.textContent.toLowerCase().includes(wanted);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    items.find((item) => !item.hidden)?.querySelector("a").click();
  });
}

// A table that has all of its rows in the page sorts them by the header that is pressed.
function offerSorting() {
  for (const header of document.querySelectorAll("table[data-sortable] thead th:not([data-fixed], :has(button))")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
  }
}

function sort(header) {
  const table = header.closest("table");
  const at = [...header.parentElement.cells].indexOf(header);
  const down = header.getAttribute("aria-sort") === "ascending";
  for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.cells[at].dataset.value ?? row.cells[at].textContent.trim();
  const order = new Intl.Collator(undefined, { numeric: true }).compare;
  const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? order(key(b), key(a)) : order(key(a), key(b))));
  table.tBodies[0].append(...rows);
}

const opener = document.getElementById("palette-open");
if (opener) {
  opener.hidden = false;
  opener.addEventListener("click", openPalette);
}

setInterval(refreshTimes, 10000);
offerCopies();
offerSorting();
