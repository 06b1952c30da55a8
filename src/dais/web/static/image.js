// One image: how far fetching or building is, and what a build prints, as it comes.

import { follow } from "./live.js";

const article = document.getElementById("image");
const log = document.getElementById("image-log");
let next = Number(article.dataset.next);
toTheEnd();

const request = () => ({ ref: article.dataset.ref, query: article.dataset.group, total: next });

follow("image", request, (message) => {
  for (const [id, html] of Object.entries(message.parts)) {
    const element = document.getElementById(id);
    const template = document.createElement("template");
    template.innerHTML = html;
    const box = document.createElement("div");
    box.append(template.content.cloneNode(true));
    if (element.innerHTML !== box.innerHTML) element.replaceChildren(template.content);
  }
  if (log && message.text) {
    const followed = log.scrollTop + log.clientHeight > log.scrollHeight - 24;
    if (message.afresh) log.textContent = "";
    log.append(message.text);
    if (followed) toTheEnd();
  }
  next = message.next;
});

function toTheEnd() {
  if (log) log.scrollTop = log.scrollHeight;
}
