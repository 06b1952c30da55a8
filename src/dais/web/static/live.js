// The one connection of this tab: it says what the page shows, hands on what it is told, and mends itself.

const FIRST = 250;
const LONGEST = 10000;
const QUIET = 1500; // a connection that is back within this time was never worth a word
const SIGNED_OUT = 4401;
const REFUSED = 4400;

const watches = new Map();
let socket = null;
let pause = FIRST;
let lostAt = 0;

// Watch something. `request()` gives what to ask for, also after the connection was mended; `told(message)` hears.
// The function that it returns asks again.
export function follow(kind, request, told) {
  watches.set(kind, { request, told });
  const ask = () => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ watch: kind, ...request() }));
  };
  if (socket === null) connect();
  else ask();
  return ask;
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/live`);
  socket.onopen = () => {
    pause = FIRST;
    lostAt = 0;
    say("");
    for (const [kind, { request }] of watches) socket.send(JSON.stringify({ watch: kind, ...request() }));
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.kind === "problem") say(message.detail);
    else watches.get(message.kind)?.told(message);
  };
  socket.onclose = ({ code }) => {
    if (code === SIGNED_OUT) return say("You are signed out: this page changes no more. `dais open` lets you in again.");
    if (code === REFUSED) return;
    lostAt ||= Date.now();
    if (Date.now() - lostAt > QUIET) say("The connection is lost. What you see may be old; trying again …");
    setTimeout(connect, pause * (0.75 + Math.random() / 2));
    pause = Math.min(pause * 2, LONGEST);
  };
}

// One line above the page's content; nothing when there is nothing to say.
function say(text) {
  const notice = document.getElementById("connection");
  notice.textContent = text;
  notice.hidden = !text;
}

window.addEventListener("online", () => { pause = FIRST; });
