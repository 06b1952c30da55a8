// A terminal's screen: xterm.js, in the colours of the page and under its strict policy.

import { FitAddon } from "./xterm-fit.js";
import { Terminal } from "./xterm.js";

const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const MOST_PASTED = 1 << 20;
const PIECE = 16 << 10;

// The policy of the pages allows no inline styles, and xterm.js writes style elements and style attributes. On a page
// with a terminal elements are made so that the one becomes a sheet and the other properties, which the policy allows.
const create = document.createElement;
document.createElement = function (name, options) {
  if (name === "style") return sheet();
  const element = create.call(document, name, options);
  if (name === "span") element.setAttribute = styled;
  return element;
};

function styled(name, value) {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
}

function sheet() {
  const element = create.call(document, "span");
  const rules = new CSSStyleSheet();
  element.hidden = true;
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, rules];
  Object.defineProperty(element, "textContent", { get: () => "", set: (text) => rules.replaceSync(text) });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== rules);
    Element.prototype.remove.call(element);
  };
  return element;
}

// A screen in a box. `typed(bytes)` hears what is typed and pasted, `resized(rows, cols)` what would fit the box now,
// `left()` that the reader wants to leave it by the keyboard, `refused(words)` what could not be pasted.
export class Screen {
  constructor(box, { typed = () => {}, resized = () => {}, left = () => {}, refused = () => {} } = {}) {
    const style = getComputedStyle(document.documentElement);
    this.box = box;
    this.resized = resized;
    this.terminal = new Terminal({
      fontFamily: style.getPropertyValue("--mono"),
      fontSize: 13,
      scrollback: 5000,
      minimumContrastRatio: 4.5,
      cursorBlink: false,
      allowProposedApi: false,
      theme: this.theme(),
    });
    this.fitting = new FitAddon();
    this.terminal.loadAddon(this.fitting);
    this.terminal.open(box);
    const text = new TextEncoder();
    this.terminal.onData((data) => {
      const bytes = text.encode(data);
      if (bytes.length > MOST_PASTED) return refused("More than 1 MiB was pasted; put it into a file instead.");
      for (let at = 0; at < bytes.length; at += PIECE) typed(bytes.subarray(at, at + PIECE));
    });
    this.terminal.onBinary((data) => typed(Uint8Array.from(data, (one) => one.charCodeAt(0))));
    this.terminal.attachCustomKeyEventHandler((event) => this.key(event, left));
    this.terminal.textarea.addEventListener("focus", () => this.fit());
    new ResizeObserver(() => this.fit()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.terminal.options.theme = this.theme();
    });
  }

  // What is drawn with the colours that logs have.
  theme() {
    const probe = document.createElement("span");
    this.box.append(probe);
    const colour = (name) => {
      probe.style.color = `var(--${name})`;
      return getComputedStyle(probe).color;
    };
    const theme = {
      background: colour("sunken"),
      foreground: colour("text"),
      cursor: colour("accent"),
      cursorAccent: colour("sunken"),
      selectionBackground: colour("chosen"),
      selectionForeground: colour("text"),
    };
    COLOURS.forEach((name, at) => {
      theme[name] = colour(`ansi-${at}`);
      theme[`bright${name[0].toUpperCase()}${name.slice(1)}`] = colour(`ansi-${at + 8}`);
    });
    probe.remove();
    return theme;
  }

  // Copy and leave with keys that no shell uses; all others are the shell's.
  key(event, left) {
    if (!event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey) return true;
    const name = event.key.toLowerCase();
    if (!["c", "v", "x"].includes(name)) return true;
    if (name === "v") return false; // the browser pastes
    event.preventDefault();
    if (event.type === "keydown" && name === "c") this.copy();
    if (event.type === "keydown" && name === "x") left();
    return false;
  }

  // Copy what is selected; whether there was something.
  copy() {
    const chosen = this.terminal.getSelection();
    if (!chosen) return false;
    if (navigator.clipboard) navigator.clipboard.writeText(chosen);
    else document.execCommand("copy");
    return true;
  }

  // The rows and columns that fit the box now.
  get room() {
    const { rows = 24, cols = 80 } = this.fitting.proposeDimensions() ?? {};
    return { rows: Math.max(1, rows), cols: Math.max(2, cols) };
  }

  fit() {
    const { rows, cols } = this.room;
    this.resized(rows, cols);
  }

  size(rows, cols) {
    if (rows !== this.terminal.rows || cols !== this.terminal.cols) this.terminal.resize(cols, rows);
  }
}
