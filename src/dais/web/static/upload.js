// Uploads into a directory of a folder: small files in packs, large ones in pieces that go on where they were, known
// ones not at all. The protocol is the one of the command line (wire/transfers.py). Nothing here touches the page.

const SMALL = 1 << 20;
const PACK_BYTES = 4 << 20;
const PACK_FILES = 1000;
const PIECE = 8 << 20;
const LANES = 3;
const SILENCE_MS = 60000; // a request that moves nothing for so long is begun anew
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10000;
const WINDOW_MS = 5000; // speed is that of the last seconds

class Cancelled extends Error {}
class Broken extends Error {}

class Refused extends Error {
  constructor(problem, status, wait) {
    super(problem.detail ?? `the server answered ${status}`);
    this.code = problem.code;
    this.fields = problem.fields ?? {};
    this.status = status;
    this.wait = wait;
  }
}

export class Upload {
  // `changed()` is called when something is worth showing.
  constructor({ folder, path, token, hasher, changed }) {
    this.base = `/uploads/${folder}`;
    this.prefix = path ? `${path}/` : "";
    this.token = token;
    this.hasherAddress = hasher;
    this.changed = changed;
    this.items = [];
    this.directories = [];
    this.queue = [];
    this.total = 0;
    this.skipped = 0;
    this.kept = 0;
    this.state = "idle"; // idle, running, done, cancelled, stopped
    this.problem = ""; // why everything stands still or was stopped
    this.question = null;
    this.replace = null;
    this.requests = new Set();
    this.moved = [];
  }

  // Begin, or go on with more: `files` are {file, path}, `directories` paths of empty ones.
  add(files, directories = []) {
    const items = files.map(({ file, path }) => ({
      file, path: this.prefix + path, size: file.size, done: 0, state: "waits", problem: "",
    }));
    this.items.push(...items);
    this.directories.push(...directories.map((path) => this.prefix + path));
    this.total += items.reduce((sum, item) => sum + item.size, 0);
    this.enqueue(items);
    this.run();
  }

  // What failed, once more.
  retry() {
    const failed = this.items.filter((item) => item.state === "failed");
    for (const item of failed) Object.assign(item, { state: "waits", problem: "", done: 0 });
    this.enqueue(failed);
    this.run();
  }

  cancel() {
    if (this.state !== "running") return;
    this.state = "cancelled";
    this.question?.answer(false);
    for (const request of this.requests) request.abort();
    this.wake?.();
    this.changed();
  }

  // The answer to `question`, which is asked once.
  answer(replace) {
    this.question?.answer(replace);
  }

  get done() {
    return this.items.reduce((sum, item) => sum + item.done, 0);
  }

  // Bytes a second now; 0 when it is not known.
  get speed() {
    const now = performance.now();
    this.moved = this.moved.filter(([at]) => now - at < WINDOW_MS);
    if (this.moved.length < 2) return 0;
    const seconds = Math.max(0.25, (now - this.moved[0][0]) / 1000);
    return this.moved.reduce((sum, [, bytes]) => sum + bytes, 0) / seconds;
  }

  enqueue(items) {
    let group = [], bytes = 0;
    const close = () => {
      if (group.length) this.queue.push(group);
      group = [];
      bytes = 0;
    };
    for (const item of items) {
      if (item.size >= SMALL) {
        this.queue.push(item);
        continue;
      }
      if (bytes + item.size > PACK_BYTES || group.length === PACK_FILES) close();
      group.push(item);
      bytes += item.size;
    }
    close();
  }

  async run() {
    if (this.state === "running") return;
    this.state = "running";
    this.problem = "";
    this.changed();
    const lanes = Array.from({ length: Math.min(LANES, this.queue.length || 1) }, () => this.lane());
    await Promise.all(lanes);
    if (this.state === "running") await this.sendDirectories();
    if (this.state === "running") this.state = "done";
    this.changed();
  }

  async lane() {
    const hasher = new Hasher(this.hasherAddress);
    try {
      while (this.state === "running" && this.queue.length) {
        const next = this.queue.shift();
        const items = Array.isArray(next) ? next : [next];
        try {
          await (Array.isArray(next) ? this.small(next, hasher) : this.large(next, hasher));
        } catch (error) {
          this.failed(items, error);
        }
        this.changed();
      }
    } finally {
      hasher.close();
    }
  }

  failed(items, error) {
    if (error instanceof Cancelled) return;
    if (error instanceof Refused && [401, 403].includes(error.status)) {
      this.state = "stopped";
      this.problem = error.message;
    }
    for (const item of items) {
      if (["done", "same", "kept"].includes(item.state)) continue;
      Object.assign(item, { state: "failed", problem: error.message, done: 0 });
    }
  }

  async small(items, hasher) {
    const ready = [];
    for (const item of items) {
      item.state = "reads";
      try {
        const { digest, content } = await hasher.digest(item.file, true);
        if (content.byteLength !== item.size) throw new Error("it changes while it is sent");
        ready.push({ item, digest, content });
      } catch (error) {
        this.failed([item], error);
      }
    }
    if (!ready.length) return;
    const wanted = await this.compare(ready);
    if (!wanted.length) return;
    const body = [];
    for (const { item, digest, content } of wanted) {
      item.state = "sends";
      body.push(...packed({ path: item.path, size: item.size, digest }), content);
    }
    const size = wanted.reduce((sum, { item }) => sum + item.size, 0);
    let moved = 0;
    await this.send("POST", "/pack", body, "application/vnd.dais.pack", (part) => {
      this.note(part * size - moved);
      moved = part * size;
      for (const { item } of wanted) item.done = item.size * part;
    });
    for (const { item } of wanted) Object.assign(item, { state: "done", done: item.size });
  }

  async large(item, hasher) {
    item.state = "reads";
    const { digest } = await hasher.digest(item.file, false, (done) => {
      item.read = done;
      this.changed();
    });
    const [wanted] = await this.compare([{ item, digest }]);
    if (!wanted) return;
    item.state = "sends";
    let offset = wanted.offset ?? 0;
    while (true) {
      item.done = offset;
      const end = Math.min(item.size, offset + PIECE);
      const query = new URLSearchParams({ path: item.path, size: item.size, digest, offset });
      let moved = 0;
      try {
        const received = await this.send("PUT", `/file?${query}`, [item.file.slice(offset, end)], "application/octet-stream", (part) => {
          this.note(part * (end - offset) - moved);
          moved = part * (end - offset);
          item.done = offset + moved;
        });
        offset = received.offset;
        if (received.complete) break;
      } catch (error) {
        const expected = error.fields?.expected;
        if (error.code !== "wrong-offset" || !Number.isInteger(expected) || expected === offset) throw error;
        offset = expected; // what had come is gone, or came although its answer was lost
      }
    }
    Object.assign(item, { state: "done", done: item.size });
  }

  // Those that must be sent, with how much of them has come; the others are done.
  async compare(ready) {
    const files = ready.map(({ item, digest }) => ({ path: item.path, size: item.size, digest }));
    const patience = SILENCE_MS + ready.reduce((sum, { item }) => sum + item.size, 0) / 1e5;
    const found = await this.send("POST", "/compare", [JSON.stringify({ files, begun: true })], "application/json", null, patience);
    const all = ready.map((one, index) => ({ ...one, ...found[index] }));
    for (const { item, state } of all) {
      if (state === "same") Object.assign(item, { state: "same", done: item.size });
    }
    const other = all.filter(({ state }) => state === "different");
    const keeps = other.length > 0 && !(await this.mayReplace(other[0].item.path));
    if (this.state !== "running") throw new Cancelled();
    for (const { item } of keeps ? other : []) Object.assign(item, { state: "kept", done: item.size });
    return all.filter(({ item }) => !["same", "kept"].includes(item.state));
  }

  // Whether files that are there with another content are replaced: asked once, for all.
  mayReplace(path) {
    if (this.replace !== null) return this.replace;
    if (!this.question) {
      let answer;
      const promise = new Promise((resolve) => { answer = resolve; });
      this.question = {
        path, promise, answer: (replace) => {
          this.replace = replace;
          this.question = null;
          answer(replace);
          this.changed();
        },
      };
      this.changed();
    }
    return this.question.promise;
  }

  async sendDirectories() {
    const paths = this.directories.splice(0);
    for (let start = 0; start < paths.length; start += PACK_FILES) {
      const body = paths.slice(start, start + PACK_FILES).flatMap((path) => packed({ path, kind: "directory" }));
      try {
        await this.send("POST", "/pack", body, "application/vnd.dais.pack");
      } catch (error) {
        if (!(error instanceof Cancelled)) this.problem = error.message;
      }
    }
  }

  note(bytes) {
    if (bytes <= 0) return;
    this.moved.push([performance.now(), bytes]);
    this.changed();
  }

  // One request, again and again until it is answered: the server may be starting anew, the connection cut.
  async send(method, path, body, kind, progress = null, patience = SILENCE_MS) {
    let pause = FIRST_PAUSE;
    while (true) {
      if (this.state !== "running") throw new Cancelled();
      try {
        const answer = await this.once(method, path, new Blob(body), kind, progress, patience);
        if (this.problem) {
          this.problem = "";
          this.changed();
        }
        return answer;
      } catch (error) {
        const again = error instanceof Broken || (error instanceof Refused && [429, 502, 503, 504].includes(error.status) && error.code !== "disk-full");
        if (!again || this.state !== "running") throw error;
        this.problem = error instanceof Broken ? "The connection is lost; trying again …" : error.message;
        this.changed();
        await this.rest(error.wait ?? pause * (0.75 + Math.random() / 2));
        pause = Math.min(2 * pause, LONGEST_PAUSE);
      }
    }
  }

  rest(milliseconds) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        window.removeEventListener("online", done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      window.addEventListener("online", done);
      this.wake = done;
    });
  }

  once(method, path, body, kind, progress, patience) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      let timer;
      const alive = () => {
        clearTimeout(timer);
        timer = setTimeout(() => request.abort(), patience);
      };
      const over = (settle, value) => {
        clearTimeout(timer);
        this.requests.delete(request);
        settle(value);
      };
      this.requests.add(request);
      request.open(method, this.base + path);
      request.setRequestHeader("Content-Type", kind);
      request.setRequestHeader("Accept", "application/json");
      request.setRequestHeader("Dais-Form", this.token);
      request.upload.onprogress = ({ loaded, total }) => {
        alive();
        if (total) progress?.(loaded / total);
      };
      request.onload = () => {
        let answer = {};
        try {
          answer = JSON.parse(request.responseText);
        } catch { /* a proxy's own page */ }
        if (request.status === 200) return over(resolve, answer);
        const wait = Number(request.getResponseHeader("Retry-After")) * 1000 || null;
        over(reject, new Refused(answer, request.status, wait));
      };
      request.onerror = () => over(reject, new Broken());
      request.onabort = () => over(reject, this.state === "running" ? new Broken() : new Cancelled());
      alive();
      request.send(body);
    });
  }
}

// The header of an entry of a pack, behind its length.
function packed(entry) {
  const header = new TextEncoder().encode(JSON.stringify(entry));
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, header.length);
  return [length.buffer, header];
}

// One file at a time through the worker.
class Hasher {
  constructor(address) {
    this.worker = new Worker(address);
    this.last = 0;
  }

  digest(file, whole, progress = null) {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => {
        if (data.id !== id) return;
        if (data.problem) reject(new Error(data.problem));
        else if (data.digest) resolve(data);
        else progress?.(data.done);
      };
      this.worker.onerror = (event) => reject(new Error(event.message || "files cannot be read here"));
      this.worker.postMessage({ id, file, whole });
    });
  }

  close() {
    this.worker.terminate();
  }
}
