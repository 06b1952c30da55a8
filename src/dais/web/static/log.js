// The log of a job: lines are added as they come; `f` keeps the newest in sight.

import { follow } from "./live.js";
import { elements, typing } from "./parts.js";

const MOST = 5000; // lines in the page; older ones are in the download
const NEAR = 24; // pixels from the end that still count as the end

export function watchLog(ref, box, live) {
  const note = document.getElementById("log-note");
  const button = document.getElementById("follow");
  let following = live;
  let cursor = box.dataset.cursor; // where the complete lines in `box` end, "" when that is not known
  let sound = box.childElementCount; // how many lines there are up to `cursor`
  let open = []; // lines that may still grow
  let last = box.scrollTop; // to tell scrolling up from lines that push

  toggle(document.getElementById("times"), "times");
  toggle(document.getElementById("wrap"), "wrap");
  if (!live) return null;

  button.hidden = false;
  setFollowing(true);
  button.addEventListener("click", () => setFollowing(!following));
  box.addEventListener("scroll", () => {
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
    if (following && !atEnd && box.scrollTop < last) setFollowing(false);
    last = box.scrollTop;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "f" && !typing(event)) setFollowing(!following);
  });

  return follow("log", request, told);

  // Lines after the last sound place may be incomplete: they are asked for again.
  function request() {
    if (cursor) while (box.childElementCount > sound) box.lastElementChild.remove();
    open = [];
    return { ref, cursor };
  }

  function told(message) {
    if (message.reset) box.replaceChildren();
    else for (const line of open) line.remove();
    const done = elements(message.done);
    open = elements(message.open);
    box.append(...done, ...open);
    const excess = box.childElementCount - MOST;
    if (excess > 0) {
      for (let count = 0; count < excess; count++) box.firstElementChild.remove();
      sound = Math.max(0, sound - excess);
      cut();
    }
    if (message.reset) note.textContent = "";
    if (message.cut) cut();
    if (message.cursor) {
      cursor = message.cursor;
      sound = box.childElementCount;
    }
    if (following) toEnd();
  }

  function cut() {
    note.textContent = "The newest lines are shown.";
  }

  function setFollowing(on) {
    following = on;
    button.setAttribute("aria-pressed", String(on));
    if (on) toEnd();
  }

  function toEnd() {
    box.scrollTop = box.scrollHeight;
    last = box.scrollTop;
  }

  function toggle(control, name) {
    control.hidden = false;
    control.addEventListener("click", () => {
      const on = box.classList.toggle(name);
      control.setAttribute("aria-pressed", String(on));
    });
  }
}
