// Lists that the server sorts, filters and cuts into pages: `#list` of the page is replaced by that of another address.

import { typing } from "./parts.js";

const PAUSE = 200; // milliseconds after the last key before the list is asked for
const editable = "input, select, textarea";

let asked = 0;

// Show the list as it is at an address. What was asked for later wins.
export async function showList(address = location.href) {
  const turn = ++asked;
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  if (!answer.ok || turn !== asked) return false;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const list = document.getElementById("list");
  const chosen = list.querySelector("tr.chosen")?.dataset.key;
  list.replaceChildren(...page.getElementById("list").childNodes);
  if (chosen) list.querySelector(`tr[data-key="${CSS.escape(chosen)}"]`)?.classList.add("chosen");
  for (const part of document.querySelectorAll("[data-follows-list]")) {
    part.replaceChildren(...page.getElementById(part.id).childNodes);
  }
  const filter = document.getElementById("filter");
  if (filter) filter.hidden = page.getElementById("filter").hidden;
  document.dispatchEvent(new CustomEvent("list"));
  return true;
}

// The filter's field narrows the list while one types, and the address says so.
export function filterByTyping() {
  const input = document.querySelector(".filters input[data-live]");
  if (!input) return;
  let timer;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const fields = new URLSearchParams(new FormData(input.form));
      if (!input.value.trim()) fields.delete(input.name);
      const query = String(fields);
      const address = location.pathname + (query ? `?${query}` : "");
      history.replaceState(null, "", address);
      showList(address);
    }, PAUSE);
  });
}

// `j` and `k` choose a row, Enter opens it, `/` goes to the filter.
export function useKeys() {
  document.addEventListener("keydown", (event) => {
    if (typing(event)) {
      if (event.key === "Escape" && event.target.matches?.(editable)) event.target.blur();
      return;
    }
    const rows = [...document.querySelectorAll("#list table.keys tbody tr")];
    const at = rows.findIndex((row) => row.classList.contains("chosen"));
    const step = { j: 1, k: -1 }[event.key];
    if (step && rows.length) {
      const next = Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + step));
      rows[at]?.classList.remove("chosen");
      rows[next].classList.add("chosen");
      rows[next].scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" && at >= 0 && !event.target.closest("a, button")) {
      rows[at].querySelector("a")?.click();
    } else if (event.key === "/") {
      const field = document.querySelector(".filters:not([hidden]) input[type=search]");
      if (field) {
        event.preventDefault();
        field.focus();
      }
    }
  });
}
