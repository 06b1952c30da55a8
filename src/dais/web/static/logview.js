// A list of very many lines of which only those in sight are elements.
//
// While every line is one row high and all rows fit into an element, a line's place is its number times the height.
// Otherwise (wrapped, or more rows than a browser can stack) the scroll bar only says about where in the log one is:
// small movements are followed pixel by pixel from the line that is on top, large ones go to the share of the log.

const ROW = 20; // pixels: the line height of log.css
const SPARE = 12; // rows that are made above and below what is in sight
const TALLEST = 8_000_000; // pixels; browsers give up between 16 and 33 million

export class LogView {
  // `make(index)` gives a line's element (marked `pending` while its text is not there); `moved(byReader)` hears of scrolling.
  constructor(box, data, make, moved) {
    this.box = box;
    this.data = data;
    this.make = make;
    this.moved = moved;
    this.nodes = new Map();
    this.top = 0; // the index of the line on top
    this.into = 0; // how many pixels of it are above
    this.seen = 0; // the place of the scroll bar that we know of
    this.widest = 0;
    this.sizer = document.createElement("div");
    this.sizer.className = "sizer";
    this.list = document.createElement("div");
    this.list.className = "rows";
    box.replaceChildren(this.sizer, this.list);
    box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    box.addEventListener("scrollend", () => this.settle());
    new ResizeObserver(() => this.refresh()).observe(box);
  }

  get exact() {
    return !this.box.classList.contains("wrap") && this.data.rows * ROW <= TALLEST;
  }

  get most() {
    return Math.max(0, this.sizer.offsetHeight - this.box.clientHeight);
  }

  get atEnd() {
    return this.last >= this.data.rows && this.bottom <= this.box.clientHeight + ROW;
  }

  // Everything again: lines came, or look different. What is on top stays there.
  refresh(renew = false) {
    this.scrolled(); // the reader may have moved the bar, and its event has not come yet
    if (renew) {
      this.list.replaceChildren();
      this.nodes.clear();
      this.widest = 0;
    }
    if (this.exact) this.sizer.style.height = `${Math.max(this.data.rows, 1) * ROW}px`;
    this.render();
    this.settle();
  }

  go(index, share = 0.3) {
    this.top = Math.max(0, Math.min(index, this.data.rows - 1));
    this.into = -Math.round(this.box.clientHeight * share);
    this.render();
    this.settle();
    this.moved(-1);
  }

  toEnd() {
    this.top = Math.max(0, this.data.rows - 1);
    this.into = ROW * 4 - this.box.clientHeight; // too far down: the end of the list stops it
    this.render();
    this.settle();
  }

  scrolled() {
    const now = this.box.scrollTop;
    const by = now - this.seen;
    if (Math.abs(by) < 0.5) return;
    this.seen = now;
    if (this.exact) {
      this.top = Math.floor(now / ROW);
      this.into = now % ROW;
    } else if (now <= 0) {
      this.top = this.into = 0;
    } else if (now >= this.most - 1) {
      this.top = Math.max(0, this.data.rows - 1);
      this.into = 4 * ROW - this.box.clientHeight;
    } else if (Math.abs(by) < 3 * this.box.clientHeight) {
      this.into += by;
    } else {
      this.top = Math.floor((now / this.most) * Math.max(0, this.data.rows - this.box.clientHeight / ROW));
      this.into = 0;
    }
    this.render();
    this.moved(by);
  }

  height(index) {
    return this.nodes.get(index)?.offsetHeight ?? ROW;
  }

  // Let the top line be one that is really in sight.
  normalize() {
    const rows = this.data.rows;
    while (this.into < 0 && this.top > 0) this.into += this.height(--this.top);
    while (this.top < rows - 1 && this.into >= this.height(this.top)) this.into -= this.height(this.top++);
    if (this.top <= 0 && this.into < 0) this.into = 0;
    this.top = Math.max(0, Math.min(this.top, rows - 1));
  }

  render() {
    this.normalize();
    this.fill();
    if (!this.exact) {
      this.normalize(); // heights are known now
      this.fill();
    }
    const view = this.box.clientHeight;
    let above = this.offset(this.top) + this.into;
    const end = this.list.offsetHeight;
    if (this.last >= this.data.rows && end - above < view) {
      above = Math.max(0, end - view); // the last line is not above the bottom
      this.into = above - this.offset(this.top);
      this.normalize();
    }
    this.above = above;
    this.bottom = end - above;
    if (!this.exact) {
      const all = this.first === 0 && this.last >= this.data.rows && end <= view;
      const guess = Math.max(3 * view, this.data.rows * (end / Math.max(1, this.nodes.size)));
      this.sizer.style.height = `${all ? 1 : Math.min(guess, TALLEST)}px`;
    }
    this.place();
    if (!this.box.classList.contains("wrap") && this.list.offsetWidth > this.widest) {
      this.widest = this.list.offsetWidth;
      this.sizer.style.width = `${this.widest}px`;
    }
    this.data.want(this.first, this.last);
  }

  place() {
    this.list.style.transform = `translateY(${Math.round(this.box.scrollTop - this.above)}px)`;
  }

  offset(index) {
    return this.nodes.get(index)?.offsetTop ?? 0;
  }

  // Let there be elements for what is in sight and a little more, and for nothing else.
  fill() {
    const count = Math.ceil(this.box.clientHeight / ROW) + 1;
    this.first = Math.max(0, this.top - SPARE);
    this.last = Math.min(this.data.rows, this.top + count + SPARE);
    if (this.last - this.first < count + SPARE) this.first = Math.max(0, this.last - count - SPARE);
    for (const [index, node] of this.nodes) {
      const stale = node.dataset.pending && this.data.line(index);
      if (index < this.first || index >= this.last || stale || index >= this.data.total || node.dataset.open) {
        node.remove();
        this.nodes.delete(index);
      }
    }
    let place = this.list.firstElementChild;
    for (let index = this.first; index < this.last; index++) {
      const known = this.nodes.get(index);
      if (known) {
        place = known.nextElementSibling;
        continue;
      }
      const node = this.make(index);
      if (index >= this.data.total) node.dataset.open = "yes";
      this.nodes.set(index, node);
      this.list.insertBefore(node, place);
    }
  }

  // Bring the scroll bar to where we are, without moving what is in sight.
  settle() {
    const most = this.most;
    let right;
    if (this.exact) right = this.top * ROW + this.into;
    else if (this.atEnd) right = most;
    else if (this.top === 0 && this.into === 0) right = 0;
    else right = Math.min(most - 1, Math.max(1, (this.top / Math.max(1, this.data.rows - this.box.clientHeight / ROW)) * most));
    if (Math.abs(right - this.box.scrollTop) >= 1) this.box.scrollTop = right;
    this.seen = this.box.scrollTop;
    this.place();
  }
}
