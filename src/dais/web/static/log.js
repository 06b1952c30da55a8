// The log of a run: as long as it may be, followed with `f`, searched with `/`, each line with an address of its own.

import { follow } from "./live.js";
import { LogData } from "./logdata.js";
import { LogSearch } from "./logsearch.js";
import { LogView } from "./logview.js";
import { ask, say, typing } from "./parts.js";

const KINDS = { 2: "err", 3: "sys" };

const article = document.getElementById("job");
const box = document.getElementById("log");
const note = document.getElementById("log-note");
const control = (name) => document.getElementById(`log-${name}`);
const query = { run: box.dataset.run, ...(box.dataset.stream && { stream: box.dataset.stream }) };
const streams = { stdout: 1, stderr: 2 };

let following = false;
let target = -1; // the index of the line of the address
let counting = false;

const data = new LogData(article.dataset.address, query, () => view.refresh());
takeFromPage();
const view = new LogView(box, data, make, moved);
const search = new LogSearch(data, view, control);

// What the server put into the page is there at once.
function takeFromPage() {
  const total = Number(box.dataset.total);
  const rows = [...box.querySelectorAll(".line")].map((row) => [
    Number(row.dataset.t),
    row.classList.contains("err") ? 2 : row.classList.contains("sys") ? 3 : 1,
    row.querySelector(".text").innerHTML,
  ]);
  if (total < 0) return;
  const opened = Number(box.dataset.opened);
  data.told({ total, open: opened ? rows.splice(rows.length - opened) : [], over: false });
  data.put(Number(box.dataset.first) - 1, rows);
  document.getElementById("log-pages")?.remove();
}

function make(index) {
  const line = data.line(index);
  const row = document.createElement("div");
  row.className = `line ${KINDS[line?.[1]] ?? ""}`.trim();
  const number = document.createElement("a");
  number.className = "n";
  number.href = `#L${index + 1}`;
  number.textContent = index + 1;
  const time = document.createElement("time");
  time.className = "t";
  const text = document.createElement("span");
  text.className = "text";
  row.append(number, time, text);
  if (line) {
    const instant = new Date(line[0]);
    time.dateTime = instant.toISOString();
    time.textContent = time.dateTime.slice(11, 23);
    time.dataset.exact = "";
    time.title = `${time.dateTime.slice(0, 10)} ${time.textContent} UTC`;
    text.innerHTML = line[2];
  } else {
    row.dataset.pending = "yes";
  }
  row.classList.toggle("target", index === target);
  search.dress(row, text, index);
  return row;
}

function moved(by) {
  if (following && by < 0 && !view.atEnd) setFollowing(false);
}

function setFollowing(on) {
  following = on;
  control("follow").setAttribute("aria-pressed", String(on));
  if (on) view.toEnd();
}

function tell() {
  const lines = data.rows === 1 ? "1 line" : `${data.rows.toLocaleString("en")} lines`;
  const text = counting ? `${lines} so far …` : data.rows ? lines : "";
  if (note.textContent !== text) note.textContent = text;
}

// -- live ------------------------------------------------------------------------------------------------------

const again = follow("log", () => ({
  ref: article.dataset.ref,
  run: Number(box.dataset.run),
  ...(query.stream && { stream: streams[query.stream] }),
  total: data.total,
}), (message) => {
  counting = message.counting;
  data.told(message);
  data.put(message.first, message.lines);
  tell();
  view.refresh();
  if (following) view.toEnd();
  search.more();
});

// Another run of the job has begun: whoever looks at the latest one sees it.
article.addEventListener("job", ({ detail }) => {
  if (detail.run === Number(box.dataset.run) || box.dataset.chosen === "yes") return;
  location.reload();
});

// -- the address -----------------------------------------------------------------------------------------------

function toAddress() {
  const found = /^#L(\d{1,9})$/.exec(location.hash);
  target = found ? Number(found[1]) - 1 : -1;
  if (found) {
    setFollowing(false);
    view.refresh(true);
    view.go(target);
  }
  return found !== null;
}

window.addEventListener("hashchange", toAddress);

// -- controls --------------------------------------------------------------------------------------------------

function toggle(name) {
  const button = control(name);
  const set = (on) => {
    box.classList.toggle(name, on);
    button.setAttribute("aria-pressed", String(on));
    view.widest = 0;
    view.sizer.style.width = "";
    view.refresh();
    if (following) view.toEnd();
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const on = !box.classList.contains(name);
    localStorage.setItem(`dais-log-${name}`, on ? "yes" : "");
    set(on);
  });
  if (localStorage.getItem(`dais-log-${name}`)) set(true);
}

control("follow").hidden = false;
control("follow").addEventListener("click", () => setFollowing(!following));
control("jump").hidden = false;
control("jump").addEventListener("keydown", async (event) => {
  if (event.key !== "Enter") return;
  const text = control("jump").value.trim();
  try {
    const line = /^\d+$/.test(text)
      ? Number(text)
      : (await ask(`${article.dataset.address}/log/at?${new URLSearchParams({ ...query, time: text })}`)).line;
    if (location.hash === `#L${line}`) toAddress();
    location.hash = `L${Math.max(1, Math.min(line, data.rows))}`;
  } catch (error) {
    say(error.message, "failed");
  }
});

document.addEventListener("keydown", (event) => {
  if (typing(event)) return;
  if (event.key === "f") setFollowing(!following);
  else if (event.key === "/") search.focus();
  else if (event.key === "n") search.step(1);
  else if (event.key === "N") search.step(-1);
  else if (event.key === "w") control("wrap").click();
  else if (event.key === "Home" && event.target === box) view.go(0, 0);
  else if (event.key === "End" && event.target === box) view.toEnd();
  else return;
  event.preventDefault();
});

for (const form of document.querySelectorAll("form[data-auto]")) {
  form.querySelector("button").hidden = true;
  form.addEventListener("change", () => form.requestSubmit());
}

toggle("times");
toggle("wrap");
tell();
view.refresh();
if (!toAddress()) {
  if (new URLSearchParams(location.search).has("from")) view.go(Number(box.dataset.first) - 1, 0);
  else setFollowing(true);
}
search.begin();
