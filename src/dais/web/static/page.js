// What every page has: times that go on, commands to copy, keys; and the modules of the page that is open.

import { follow } from "./live.js";
import { watchJobs } from "./jobs.js";
import { watchJob } from "./job.js";

const units = [[86400, "d"], [3600, "h"], [60, "min"]];

function age(instant) {
  const seconds = Math.floor((Date.now() - Date.parse(instant)) / 1000);
  if (seconds < 5) return "just now";
  const [size, unit] = units.find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

function refreshTimes() {
  for (const time of document.querySelectorAll("time:not([data-exact])")) {
    const text = age(time.dateTime);
    if (time.textContent !== text) time.textContent = text;
  }
}

function offerCopies(root = document) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("button.copy")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

setInterval(refreshTimes, 10000);
offerCopies();

const jobs = document.getElementById("jobs");
const job = document.getElementById("job");
if (jobs) watchJobs(follow);
if (job) watchJob(follow, job);
