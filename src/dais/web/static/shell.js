// The terminal of a job's page: a shell that the server holds, found again after a lost connection and after a reload.

import { say } from "./parts.js";
import { Screen } from "./terminal.js";

const FIRST = 250;
const LONGEST = 10000;
const SIGNED_OUT = 4401;
const MOST_EARLY = 64;
const ACKNOWLEDGE = 16 << 10;
const WHY = {
  lost: "The connection to the job’s machine was lost, and the shell with it.",
  unwatched: "The shell was ended, for nobody had looked at it for a while.",
  closed: "The shell was ended.",
  refused: "You may not work in this job any more.",
};

const article = document.getElementById("job");
const box = document.getElementById("shell");
const note = document.getElementById("shell-note");
const which = document.getElementById("shell-which");
const fresh = document.getElementById("shell-new");
const end = document.getElementById("shell-end");

const screen = new Screen(box, {
  typed: send,
  resized: (rows, cols) => tell({ size: [rows, cols] }, () => screen.size(rows, cols)),
  left: () => fresh.focus(),
  refused: (words) => say(words, "failed"),
});

let socket = null;
let id = new URLSearchParams(location.search).get("shell");
let at = 0; // the offset of the next output that comes
let drawn = null; // up to where it has been drawn; null: nothing of this shell has
let told = 0; // up to where the server knows that
let pause = FIRST;
let over = false;
let asked = {};
let ready = false;
let early = []; // what was typed before the shell was there

const open = () => socket?.readyState === WebSocket.OPEN;

function send(bytes) {
  if (ready && open()) socket.send(bytes);
  else if (early.length < MOST_EARLY) early.push(bytes);
}

function tell(message, done = () => {}) {
  if (!open()) return;
  socket.send(JSON.stringify(message));
  done();
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const mine = new WebSocket(`${scheme}://${location.host}/shell`);
  socket = mine;
  mine.binaryType = "arraybuffer";
  mine.onopen = () => {
    const request = { job: article.dataset.ref, ...screen.room, ...asked };
    if (id && !asked.new) Object.assign(request, { terminal: id, at: drawn });
    mine.send(JSON.stringify(request));
    asked = {};
  };
  mine.onmessage = ({ data }) => {
    if (mine !== socket) return;
    if (typeof data === "string") hear(JSON.parse(data));
    else draw(new Uint8Array(data));
  };
  mine.onclose = ({ code }) => {
    if (mine !== socket) return;
    ready = false;
    end.hidden = true;
    if (code === SIGNED_OUT) return finish("You are signed out: `dais open` lets you in again.");
    if (over) return;
    words("The connection is lost; trying again …");
    setTimeout(connect, pause * (0.75 + Math.random() / 2));
    pause = Math.min(pause * 2, LONGEST);
  };
}

const hearing = {
  terminal: (message) => {
    pause = FIRST;
    over = false;
    if (message.fresh) {
      screen.terminal.reset();
      screen.terminal.write(message.preset);
    }
    id = message.id;
    at = drawn = told = message.at;
    screen.size(...message.size);
    ready = true;
    end.hidden = false;
    choose(message.ids);
    remember();
    words("");
    for (const bytes of early.splice(0)) socket.send(bytes);
    screen.terminal.focus();
  },
  size: ({ size }) => screen.size(...size),
  say: (message) => screen.terminal.write(`\r\n\x1b[7m Dais \x1b[27m ${message.words}\r\n`),
  ended: ({ why, exit_code: code }) => finish(why === "exited" ? `The shell has ended with exit code ${code}.` : WHY[why]),
  problem: ({ code, detail }) => finish(code === "no-such-terminal" ? detail : `No shell: ${detail}`),
};

function hear(message) {
  hearing[message.kind]?.(message);
}

// Draw, and tell how far that is, so that no more comes than can be drawn.
function draw(bytes) {
  const shell = id;
  at += bytes.length;
  const until = at;
  screen.terminal.write(bytes, () => {
    if (shell !== id) return;
    drawn = Math.max(drawn, until);
    if (drawn - told >= ACKNOWLEDGE || drawn === at) tell({ drawn: (told = drawn) });
  });
}

// The shell is over: say why, and offer another.
function finish(text) {
  over = true;
  id = drawn = null;
  early = [];
  screen.terminal.options.disableStdin = true;
  end.hidden = true;
  fresh.classList.add("main");
  remember();
  words(text || "The shell has ended.");
}

function words(text) {
  note.textContent = text;
  box.toggleAttribute("data-away", Boolean(text));
}

// The address names the shell, so that a reload comes back to it.
function remember() {
  const address = new URL(location.href);
  if (id) address.searchParams.set("shell", id);
  else address.searchParams.delete("shell");
  history.replaceState(history.state, "", address);
}

function choose(ids) {
  which.replaceChildren(...ids.map((one, place) => new Option(`Shell ${place + 1}`, one, one === id, one === id)));
  which.closest("label").hidden = ids.length < 2;
}

// Look at another shell, or a new one.
function change(next, more = {}) {
  const before = socket;
  socket = null;
  before?.close();
  id = next;
  drawn = null;
  over = ready = false;
  early = [];
  screen.terminal.options.disableStdin = false;
  asked = more;
  pause = FIRST;
  fresh.classList.remove("main");
  screen.terminal.reset();
  words("Connecting …");
  screen.terminal.focus();
  connect();
}

which.addEventListener("change", () => change(which.value));
fresh.addEventListener("click", () => change(null, { new: true }));
end.addEventListener("click", () => tell({ end: true }));
document.getElementById("shell-copy").addEventListener("click", () => {
  say(screen.copy() ? "Copied." : "Nothing is selected.");
  screen.terminal.focus();
});
window.addEventListener("online", () => { pause = FIRST; });

for (const button of document.querySelectorAll(".shell-bar [hidden]")) if (button !== end) button.hidden = false;
which.closest("label").hidden = true;
words("Connecting …");
connect();
