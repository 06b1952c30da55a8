// A directory of a folder: filtered by typing, filled by dropping. And a file: its lines have addresses.

import { dropped, picked } from "./given.js";
import { filterByTyping, showList, useKeys } from "./lists.js";
import { Upload } from "./upload.js";

const SHOWN = 6; // lines of files on their way
const EVERY = 200; // milliseconds between two looks at an upload
const LOOK = 4000; // milliseconds after which the list is shown anew while files come
const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

filterByTyping();
useKeys();
const panel = document.getElementById("uploads");
if (panel) offerUploads();
for (const lines of document.querySelectorAll(".lines ol")) lines.addEventListener("click", chooseLine);

function chooseLine(event) {
  // The number is the line's own margin: a click there, and not one that ends a selection, takes its address.
  if (event.target.tagName === "LI" && event.offsetX < 0 && String(getSelection()) === "") location.hash = event.target.id;
}

function offerUploads() {
  const { folder, path, hasher } = panel.dataset;
  const over = document.getElementById("drop-here");
  const kept = `dais-upload:${folder}:${path}`; // tells of an upload that was cut off, after the page was loaded again
  let upload = null, timer = null, shownAt = 0;

  for (const kind of ["files", "directory"]) {
    const input = document.getElementById(`pick-${kind}`);
    document.getElementById(`upload-${kind}`).addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      begin(picked(input));
      input.value = "";
    });
  }

  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    over.hidden = false;
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over.hidden = true; });
  document.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    over.hidden = true;
    begin(await dropped(event.dataTransfer));
  });

  part("cancel").addEventListener("click", () => {
    if (upload?.state === "running") return upload.cancel();
    forget();
    upload = null;
    panel.hidden = true;
  });
  part("retry").addEventListener("click", () => upload.retry());
  for (const button of part("ask").querySelectorAll("button")) {
    button.addEventListener("click", () => upload.answer(button.dataset.answer === "replace"));
  }
  window.addEventListener("beforeunload", (event) => { if (upload?.state === "running") event.preventDefault(); });
  tellOfInterrupted();

  function begin({ files, directories }) {
    if (!files.length && !directories.length) return;
    if (upload?.state !== "running") {
      upload = new Upload({ folder, path, hasher, token: document.body.dataset.token, changed });
    }
    upload.add(files, directories);
    remember();
  }

  function changed() {
    timer ??= setTimeout(() => {
      timer = null;
      show();
      if (upload?.state === "running") changed();
    }, EVERY);
  }

  function show() {
    if (!upload) return;
    const { state, items, total, speed } = upload;
    const done = upload.done;
    const count = (...states) => items.filter((item) => states.includes(item.state)).length;
    const failed = count("failed"), finished = count("done", "same", "kept");
    panel.hidden = false;
    panel.dataset.state = state === "done" && failed ? "failed" : state;
    part("title").textContent = title(state, items.length, finished, failed);
    part("words").textContent = state === "running" ? progress(done, total, speed) : outcome(count, total);
    const bar = part("all");
    bar.max = total || 1;
    bar.value = state === "done" && !failed ? bar.max : done;
    part("cancel").textContent = state === "running" ? "Cancel" : "Close";
    part("retry").hidden = state === "running" || !failed;
    part("ask").hidden = !upload.question;
    if (upload.question) part("ask").firstElementChild.textContent = `${upload.question.path} is there already with other content. Replace such files?`;
    const lines = [...items.filter((item) => item.state === "failed"), ...items.filter((item) => ["reads", "sends"].includes(item.state))];
    part("files").replaceChildren(...lines.slice(0, SHOWN).map(line), ...(lines.length > SHOWN ? [note(`and ${(lines.length - SHOWN).toLocaleString("en")} more`)] : []));
    if (state === "running") remember();
    else if (!failed) forget();
    if (state !== "running" || performance.now() - shownAt > LOOK) {
      shownAt = performance.now();
      showList();
    }
  }

  function title(state, all, finished, failed) {
    const some = (number) => `${number.toLocaleString("en")} ${number === 1 ? "file" : "files"}`;
    if (state === "running") return `Uploading ${some(all)}`;
    if (state === "cancelled") return `Cancelled; ${some(finished)} had come`;
    if (state === "stopped") return "The upload was stopped";
    return failed ? `${some(failed)} of ${all.toLocaleString("en")} could not be uploaded` : `Uploaded ${some(all)}`;
  }

  function progress(done, total, speed) {
    if (upload.problem) return upload.problem;
    if (upload.question) return "It waits for your answer";
    const words = [`${amount(done)} of ${amount(total)}`];
    if (speed) words.push(`${amount(speed)}/s`, `${lasts((total - done) / speed)} left`);
    return words.join(" · ");
  }

  function outcome(count, total) {
    if (upload.problem) return upload.problem;
    const words = [amount(total)];
    if (count("same")) words.push(`${count("same").toLocaleString("en")} there already`);
    if (count("kept")) words.push(`${count("kept").toLocaleString("en")} kept as they were`);
    return words.join(" · ");
  }

  function line(item) {
    const name = document.createElement("bdi");
    name.textContent = item.path;
    const state = document.createElement("span");
    state.className = "hint";
    if (item.state === "failed") state.textContent = item.problem;
    else if (item.state === "reads") state.textContent = item.read ? `read ${percent(item.read, item.size)}` : "waits";
    else state.textContent = percent(item.done, item.size);
    const row = document.createElement("li");
    row.className = item.state;
    row.append(name, state);
    return row;
  }

  function note(text) {
    const row = document.createElement("li");
    row.className = "hint";
    row.textContent = text;
    return row;
  }

  // Files cannot be read again after the page was left; what came of them is there, and goes on when they are given anew.
  function remember() {
    const { items, total } = upload;
    localStorage.setItem(kept, JSON.stringify({ files: items.length, total, done: upload.done }));
  }

  function forget() {
    localStorage.removeItem(kept);
  }

  function tellOfInterrupted() {
    const was = JSON.parse(localStorage.getItem(kept) ?? "null");
    if (!was) return;
    panel.hidden = false;
    panel.dataset.state = "interrupted";
    part("title").textContent = `An upload of ${was.files.toLocaleString("en")} ${was.files === 1 ? "file" : "files"} was interrupted`;
    part("words").textContent = `${amount(was.done)} of ${amount(was.total)} had come. Give the same files again: it goes on where it was.`;
    part("all").max = was.total || 1;
    part("all").value = was.done;
    part("cancel").textContent = "Dismiss";
  }
}

function part(name) {
  return panel.querySelector(`.upload-${name}`);
}

function amount(bytes) {
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${unit ? bytes.toPrecision(3) : Math.round(bytes)} ${units[unit]}`;
}

function percent(part, whole) {
  return `${whole ? Math.floor((100 * part) / whole) : 100} %`;
}

function lasts(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}
