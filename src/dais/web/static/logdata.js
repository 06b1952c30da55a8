// The lines of a log that this page has: blocks of them, fetched where they are shown, few at a time, and forgotten.

import { ask } from "./parts.js";

const BLOCK = 400; // lines
const MOST = 60; // blocks that are kept
const AGAIN_MS = 1000;

export class LogData {
  // `address` is where lines are asked for, `query` says of what; `changed()` hears that something is different.
  constructor(address, query, changed) {
    this.address = address;
    this.query = query;
    this.changed = changed;
    this.total = 0; // complete lines
    this.open = []; // lines that may still grow, after the complete ones
    this.over = false;
    this.blocks = new Map();
    this.wanted = [];
    this.busy = false;
  }

  get rows() {
    return this.total + this.open.length;
  }

  // The line of an index from 0: [ms, stream, html], or undefined while it is not here.
  line(index) {
    if (index >= this.total) return this.open[index - this.total];
    return this.blocks.get(Math.floor(index / BLOCK))?.[index % BLOCK];
  }

  // Take lines that came by themselves.
  put(first, lines) {
    lines.forEach((line, at) => {
      const key = Math.floor((first + at) / BLOCK);
      if (!this.blocks.has(key)) this.blocks.set(key, []);
      this.blocks.get(key)[(first + at) % BLOCK] = line;
    });
    this.forget();
  }

  // How the log is now.
  told({ total, open, over }) {
    this.total = total;
    this.open = open;
    this.over = over;
  }

  // What is shown: its blocks are kept, and fetched where they are missing. Of what was wanted before nothing is left.
  want(first, last) {
    this.wanted = [];
    for (let key = Math.floor(first / BLOCK); key * BLOCK < Math.min(last, this.total); key++) {
      const block = this.blocks.get(key);
      if (block) {
        this.blocks.delete(key); // the newest are those that were looked at last
        this.blocks.set(key, block);
      }
      const from = Math.max(first, key * BLOCK);
      const to = Math.min(last, (key + 1) * BLOCK, this.total);
      for (let at = from; at < to; at++) {
        if (!block?.[at % BLOCK]) {
          this.wanted.push(key);
          break;
        }
      }
    }
    this.fetch();
  }

  async fetch() {
    if (this.busy || !this.wanted.length) return;
    this.busy = true;
    const key = this.wanted.shift();
    try {
      const parameters = new URLSearchParams({ ...this.query, from: key * BLOCK + 1, count: BLOCK });
      const found = await ask(`${this.address}/log/lines?${parameters}`);
      this.put(found.first, found.lines);
      if (!found.lines.length) this.wanted = [];
      this.changed();
    } catch {
      this.wanted = [];
      setTimeout(this.changed, AGAIN_MS); // the live connection says what is wrong
    } finally {
      this.busy = false;
    }
    this.fetch();
  }

  forget() {
    for (const key of this.blocks.keys()) {
      if (this.blocks.size <= MOST) return;
      this.blocks.delete(key);
    }
  }
}
