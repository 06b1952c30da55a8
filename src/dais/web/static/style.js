// The style page: what only shows itself when something happens.

import { say } from "./parts.js";

for (const [id, text, kind] of [["say", "Job train was submitted.", ""], ["say-failed", "The name train is taken.", "failed"]]) {
  const button = document.getElementById(id);
  button.hidden = false;
  button.addEventListener("click", () => say(text, kind));
}
