// The search in a log: the server says which lines have the text, part by part; the next one is shown.

import { ask, say } from "./parts.js";

const PAUSE_MS = 250;
const MOST = 50_000; // lines that are remembered

export class LogSearch {
  constructor(data, view, control) {
    this.data = data;
    this.view = view;
    this.input = control("find");
    this.found = control("found");
    this.case = control("case");
    this.text = "";
    this.lines = []; // the numbers of lines, from 1, in order
    this.set = new Set();
    this.at = -1;
    this.after = 1; // from where on nothing is known
    this.mine = 0;
    this.looking = false;
    this.input.parentElement.hidden = false;
    let timer = 0;
    this.input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.start(), PAUSE_MS);
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        this.step(event.shiftKey ? -1 : 1);
      } else if (event.key === "Escape") {
        this.input.value = "";
        this.start();
        view.box.focus();
      }
    });
    control("before").addEventListener("click", () => this.step(-1));
    control("after").addEventListener("click", () => this.step(1));
    this.case.addEventListener("click", () => {
      this.case.setAttribute("aria-pressed", String(this.case.getAttribute("aria-pressed") !== "true"));
      this.start();
    });
  }

  get exact() {
    return this.case.getAttribute("aria-pressed") === "true";
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  // Search for what the address says.
  begin() {
    const given = new URLSearchParams(location.search);
    if (!given.has("q")) return;
    this.input.value = given.get("q");
    this.case.setAttribute("aria-pressed", String(given.has("case")));
    this.start();
  }

  async start() {
    this.text = this.input.value;
    this.lines = [];
    this.set = new Set();
    this.at = -1;
    this.after = 1;
    this.mine++;
    this.looking = false;
    const address = new URL(location.href);
    address.searchParams.delete("q");
    address.searchParams.delete("case");
    if (this.text) address.searchParams.set("q", this.text);
    if (this.text && this.exact) address.searchParams.set("case", "");
    history.replaceState(null, "", address);
    if (this.text) await this.look();
    else this.shown();
  }

  // Look through what is there, and through what came since.
  async look() {
    if (this.looking) return;
    this.looking = true;
    const mine = this.mine;
    try {
      while (this.text && this.after !== null && this.lines.length < MOST) {
        const parameters = new URLSearchParams({ ...this.data.query, q: this.text, from: this.after });
        if (this.exact) parameters.set("case", "");
        const found = await ask(`${this.data.address}/log/search?${parameters}`);
        if (mine !== this.mine) return;
        this.lines.push(...found.lines);
        for (const line of found.lines) this.set.add(line);
        this.after = found.after;
        this.known = found.total;
        if (this.at < 0 && this.lines.length) this.first();
        this.shown();
      }
    } catch (error) {
      if (mine === this.mine) say(error.message, "failed");
    } finally {
      if (mine === this.mine) this.looking = false;
    }
  }

  // The log has grown.
  more() {
    if (!this.text || this.after !== null || this.data.total <= this.known) return;
    this.after = this.known + 1;
    this.look();
  }

  // The first that is in sight or below, else the first of all.
  first() {
    const below = this.lines.findIndex((line) => line - 1 >= this.view.top);
    this.at = Math.max(0, below);
    this.view.go(this.lines[this.at] - 1);
  }

  step(by) {
    if (!this.lines.length) return;
    this.at = (this.at + by + this.lines.length) % this.lines.length;
    this.view.go(this.lines[this.at] - 1);
    this.shown();
  }

  shown() {
    const more = this.after !== null && this.text ? "+" : "";
    const count = `${this.lines.length.toLocaleString("en")}${more}`;
    if (!this.text) this.found.textContent = "";
    else if (this.lines.length) this.found.textContent = `${(this.at + 1).toLocaleString("en")} of ${count}`;
    else this.found.textContent = more ? "…" : "none";
    this.view.refresh(true);
  }

  // Mark a line that has the text, and the text in it.
  dress(row, text, index) {
    if (!this.text || !this.set.has(index + 1)) return;
    row.classList.add("hit");
    row.classList.toggle("now", this.lines[this.at] === index + 1);
    const same = (value) => (this.exact ? value : value.toLowerCase());
    const sought = same(this.text);
    const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) nodes.push(walker.currentNode);
    for (const node of nodes) {
      for (let rest = node, at; (at = same(rest.data).indexOf(sought)) >= 0;) {
        const hit = rest.splitText(at);
        rest = hit.splitText(this.text.length);
        const mark = document.createElement("mark");
        hit.replaceWith(mark);
        mark.append(hit);
      }
    }
  }
}
