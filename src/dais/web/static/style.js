// The style page: what only shows itself when something happens.

import { plot } from "./plot.js";
import { say } from "./parts.js";
import { Screen } from "./terminal.js";

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

let example = null;
example = new Screen(document.getElementById("terminal-example"), { resized: (rows, cols) => example?.size(rows, cols) });
example.terminal.options.disableStdin = true;
const coloured = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => `\x1b[${30 + n}m colour ${n} \x1b[${90 + n}m bright ${n} `).join("");
example.terminal.write(`$ \x1b[1mls\x1b[0m --color\r\n\x1b[34mdata\x1b[0m  \x1b[32mtrain.py\x1b[0m\r\n${coloured}\x1b[0m\r\n$ `);
example.fit();
