// The list of images, kept true: rows change where they are.

import { follow } from "./live.js";
import { filterByTyping, useKeys } from "./lists.js";
import { elements } from "./parts.js";

filterByTyping();
useKeys();

follow("images", () => ({ query: location.search.slice(1) }), (message) => {
  const body = document.getElementById("images")?.tBodies[0];
  if (!body) return;
  const before = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  for (const row of [...elements(`<table><tbody>${message.rows}</tbody></table>`)[0].rows]) {
    const shown = before.get(row.dataset.key);
    if (shown && shown.innerHTML !== row.innerHTML) shown.replaceChildren(...row.children);
    else if (!shown && !body.matches(":hover")) body.append(row);
    before.delete(row.dataset.key);
  }
  for (const gone of before.values()) gone.remove();
});
