// The list of folders: filtered by typing; how much each holds is counted after the page is there.

import { filterByTyping, useKeys } from "./lists.js";
import { ask } from "./parts.js";

filterByTyping();
useKeys();
measure();
document.addEventListener("list", measure);

async function measure() {
  const rows = [...document.querySelectorAll("#folders tbody tr")];
  if (!rows.length) return;
  let found;
  try {
    found = await ask(`/folders/sizes?ids=${rows.map((row) => row.dataset.key).join()}`);
  } catch {
    return; // the sizes stay unknown; the page says nothing wrong
  }
  for (const row of rows) {
    const { files, size, problem } = found[row.dataset.key] ?? {};
    if (problem) row.querySelector("[data-size]").title = problem;
    if (files === undefined) continue;
    row.querySelector("[data-files]").textContent = files;
    row.querySelector("[data-size]").textContent = size;
  }
}
