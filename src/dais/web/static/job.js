// One job: its parts are replaced as they change, its log grows.

import { follow } from "./live.js";
import { watchLog } from "./log.js";

watchJob(document.getElementById("job"));

function watchJob(article) {
  const log = document.getElementById("log");
  const live = log.dataset.live === "yes";
  const resume = watchLog(article.dataset.ref, log, live);
  let alive = article.dataset.alive === "yes";

  follow("job", () => ({ ref: article.dataset.ref }), (message) => {
    for (const [id, html] of Object.entries(message.parts)) {
      const element = document.getElementById(id);
      const template = document.createElement("template");
      template.innerHTML = html;
      if (plain(element) !== plain(template.content)) element.replaceChildren(template.content);
    }
    document.title = message.title;
    document.querySelector("link[rel=icon]").href = message.icon;
    if (message.alive && !alive) resume?.(); // it was put back into the queue: its log goes on
    alive = message.alive;
  });
}

// What is shown, without the ages of things, which every page lets grow by itself.
function plain(node) {
  const copy = node.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) time.textContent = "";
  const box = document.createElement("div");
  box.append(...copy.childNodes);
  return box.innerHTML.trim();
}
