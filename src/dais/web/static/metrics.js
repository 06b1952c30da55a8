// CPU and memory of a running job, as they are sampled.

import { follow } from "./live.js";
import { plot } from "./plot.js";

const MOST = 1800;

const article = document.getElementById("job");
const sampled = document.getElementById("sampled"); // hidden where there may be nothing to show
const note = document.getElementById("metrics-note");
const cpu = plot(document.getElementById("plot-cpu"));
const memory = plot(document.getElementById("plot-memory"));
let samples = [];

const reported = document.getElementById("reported");
follow("reports", () => ({ ref: article.dataset.ref }), (message) => {
  reported.innerHTML = message.html;
});

follow("usage", () => ({ ref: article.dataset.ref }), (message) => {
  samples = [...(message.fresh ? [] : samples), ...message.samples].slice(-MOST);
  const times = samples.map(({ at }) => at / 1e6);
  sampled.hidden = false;
  cpu.set(times, samples.map(({ cpu }) => cpu));
  memory.set(times, samples.map(({ memory }) => memory));
  const { cpu: cores, memory: bytes, pids } = samples.at(-1);
  const words = [`run ${message.run}`];
  if (cores !== null) words.push(`${cores.toFixed(2)} cores`);
  if (bytes !== null) words.push(`${(bytes / 2 ** 20).toFixed(0)} MiB`);
  if (pids !== null) words.push(`${pids} ${pids === 1 ? "process" : "processes"}`);
  note.textContent = `Newest sample of ${words.join(" · ")}.`;
});
