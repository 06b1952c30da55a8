// The list of jobs, kept true. Rows change where they are; while the pointer is over them none comes or goes.

import { follow } from "./live.js";
import { useKeys } from "./lists.js";
import { elements } from "./parts.js";

const PAUSE_MS = 200;

watchJobs();
useKeys();

function watchJobs() {
  const table = document.getElementById("jobs");
  const body = table.tBodies[0];
  const region = body.closest(".scroll");
  const notice = document.getElementById("waiting-rows");
  let newest = null;
  let hurry = false; // the reader has typed: what comes next is shown at once

  const again = follow("jobs", () => ({ query: location.search.slice(1), account: table.dataset.account }), (message) => {
    newest = elements(`<table><tbody>${message.rows}</tbody></table>`)[0].rows;
    newest = [...newest];
    pages(message.older);
    if (hurry) arrange();
    else update();
    hurry = false;
  });

  const present = () => new Map([...body.rows].map((row) => [row.dataset.key, row]));

  function pages(older) {
    const nav = document.querySelector("#list .pages");
    const next = nav.querySelector("[rel=next]");
    next.hidden = !older;
    if (older) next.href = older;
    nav.hidden = next.hidden && !nav.querySelector("[rel=first]");
  }

  function update() {
    const before = present();
    for (const row of newest) {
      const shown = before.get(row.dataset.key);
      if (shown && shown.innerHTML !== row.innerHTML) shown.replaceChildren(...row.cloneNode(true).children);
    }
    const keys = newest.map((row) => row.dataset.key);
    const moved = keys.join() !== [...body.rows].map((row) => row.dataset.key).join();
    if (!moved) return announce(0);
    const busy = body.matches(":hover") || body.contains(document.activeElement);
    if (busy) return announce(keys.filter((key) => !before.has(key)).length || 1);
    arrange();
  }

  function arrange() {
    const before = present();
    const chosen = body.querySelector("tr.chosen")?.dataset.key;
    body.replaceChildren(...newest.map((row) => before.get(row.dataset.key) ?? row));
    for (const row of body.rows) row.classList.toggle("chosen", row.dataset.key === chosen);
    region.hidden = newest.length === 0;
    document.getElementById("no-jobs").hidden = newest.length > 0;
    announce(0);
  }

  function announce(count) {
    notice.hidden = count === 0;
    notice.firstElementChild.textContent = count === 1 ? "The list has changed: show it" : `${count} new jobs: show them`;
  }

  notice.addEventListener("click", arrange);
  body.addEventListener("mouseleave", () => { if (!notice.hidden) arrange(); });

  // The filter narrows the list while one types, and the address says so; what it has not to say stays out of it.
  const form = document.getElementById("filter");
  const text = form.querySelector("input[type=search]");
  const apply = document.getElementById("apply");
  apply.hidden = true;
  let timer = 0;

  function address() {
    const given = [...new FormData(form)].filter(([, value]) => value.trim());
    const query = new URLSearchParams(given);
    return location.pathname + (given.length ? `?${query}` : "");
  }

  text.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      history.replaceState(null, "", address());
      hurry = true;
      again();
    }, PAUSE_MS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.assign(address());
  });
  form.addEventListener("change", ({ target }) => {
    if (target.matches("select") && !target.closest(".menu")) form.requestSubmit();
  });
}
