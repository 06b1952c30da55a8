// The apps of a job: the table is replaced as they change.

import { follow } from "./live.js";

const article = document.getElementById("job");
const place = document.getElementById("apps");
let shown = "";

follow("apps", () => ({ ref: article.dataset.ref }), ({ html }) => {
  if (html === shown) return;
  const first = shown === "";
  shown = html;
  if (first && same(html)) return;
  const focused = place.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  place.innerHTML = html;
  if (focused) [...place.querySelectorAll("a, button, [tabindex]")].find((one) => keyOf(one) === focused)?.focus();
});

// Whether the page shows this already, but for who may be copied.
function same(html) {
  const box = document.createElement("div");
  box.innerHTML = html;
  const plain = (node) => node.cloneNode(true).innerHTML.replaceAll(' hidden=""', "").trim();
  return plain(box) === plain(place);
}

// What an element is, in a table that has been made anew: the focus stays where it was.
function keyOf(element) {
  return `${element.tagName} ${element.textContent} ${element.dataset.copy ?? element.getAttribute("aria-label") ?? ""}`;
}
