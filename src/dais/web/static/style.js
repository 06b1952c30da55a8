// The style page: what only shows itself when something happens.

import { plot } from "./plot.js";
import { say } from "./parts.js";

for (const [id, text, kind] of [["say", "Job train was submitted.", ""], ["say-failed", "The name train is taken.", "failed"]]) {
  const button = document.getElementById(id);
  button.hidden = false;
  button.addEventListener("click", () => say(text, kind));
}

const now = Math.floor(Date.now() / 1000);
const times = Array.from({ length: 120 }, (_, at) => now - 240 + 2 * at);
for (const box of document.querySelectorAll("[data-plot]")) {
  plot(box).set(times, times.map((_, at) => 2 ** 30 * (1 + 0.3 * Math.sin(at / 9))));
}
