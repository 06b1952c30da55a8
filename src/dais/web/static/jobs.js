// The list of jobs, kept true. Rows change where they are; while the pointer is over them none comes or goes.

import { follow } from "./live.js";
import { elements, typing } from "./parts.js";

watchJobs();

function watchJobs() {
  const table = document.getElementById("jobs");
  const body = table.tBodies[0];
  const region = body.closest(".scroll");
  const notice = document.getElementById("waiting-rows");
  let newest = null;

  follow("jobs", () => ({ query: location.search.slice(1), account: table.dataset.account }), (message) => {
    newest = elements(`<table><tbody>${message.rows}</tbody></table>`)[0].rows;
    newest = [...newest];
    update();
  });

  const present = () => new Map([...body.rows].map((row) => [row.dataset.key, row]));

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

  document.addEventListener("keydown", (event) => {
    if (typing(event)) return;
    const step = { j: 1, k: -1 }[event.key];
    const rows = [...body.rows];
    const at = rows.findIndex((row) => row.classList.contains("chosen"));
    if (step && rows.length) {
      const next = Math.min(rows.length - 1, Math.max(0, at + (at < 0 ? (step > 0 ? 1 : 2) : step)));
      rows[at]?.classList.remove("chosen");
      rows[next].classList.add("chosen");
      rows[next].scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" && at >= 0 && !event.target.closest("a, button")) {
      rows[at].querySelector("a").click();
    } else if (event.key === "/") {
      event.preventDefault();
      document.querySelector(".filters input[type=search]").focus();
    }
  });
}
