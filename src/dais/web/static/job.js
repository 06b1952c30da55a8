// One job: the parts of its page are replaced as they change.

import { follow } from "./live.js";

const article = document.getElementById("job");

follow("job", () => ({ ref: article.dataset.ref }), (message) => {
  for (const [id, html] of Object.entries(message.parts)) {
    const element = document.getElementById(id);
    if (!element) continue; // it is in another section
    const template = document.createElement("template");
    template.innerHTML = html;
    if (plain(element) !== plain(template.content)) element.replaceChildren(template.content);
  }
  document.title = message.title;
  document.querySelector("link[rel=icon]").href = message.icon;
  article.dataset.run = message.run;
  article.dispatchEvent(new CustomEvent("job", { detail: message }));
});

// What is shown, without the ages of things, which every page lets grow by itself, and without who may be copied.
function plain(node) {
  const copy = node.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) time.replaceWith(time.dateTime);
  for (const button of copy.querySelectorAll("button.copy")) button.remove();
  const box = document.createElement("div");
  box.append(...copy.childNodes);
  return box.innerHTML.trim();
}
