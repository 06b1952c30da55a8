// Lines over time, drawn by uPlot: real units, a crosshair that plots share, zoom by dragging, colours of the theme.

import uPlot from "./uplot.js";

const HEIGHT = 200;
const LEAST_SECONDS = 60; // what a plot shows at least
const sizes = ["B", "KiB", "MiB", "GiB", "TiB"];

const units = {
  bytes(value) {
    let at = 0;
    for (; value >= 1000 && at < sizes.length - 1; at++) value /= 1024;
    return `${Number(value.toPrecision(3))} ${sizes[at]}`;
  },
  cores: (value) => String(Number(value.toPrecision(3))),
};

const clock = (seconds, exact) => new Date(seconds * 1000).toISOString().slice(11, exact ? 19 : 16);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// What `light-dark()` says now, as a colour that a canvas takes.
function resolved(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

// A plot in `box`, which says with data-unit, data-label and data-limit what it is of. `set(times, values)` draws:
// times in s since the epoch, null where nothing is known.
export function plot(box, group = "plots") {
  const { label, limit } = box.dataset;
  const unit = units[box.dataset.unit];
  const most = Number(limit) || 0;
  let drawn = null;
  let data = [[], [], []];

  function draw() {
    drawn?.destroy();
    const axis = { stroke: resolved("--muted"), grid: { stroke: resolved("--line"), width: 1 }, ticks: { show: false }, font: `12px ${colour("--sans")}` };
    drawn = new uPlot({
      width: Math.max(240, box.clientWidth),
      height: HEIGHT,
      cursor: { sync: { key: group }, drag: { x: true, y: false } },
      scales: { y: { range: (_, low, high) => [0, Math.max(high ?? 0, most || 1e-9) * 1.1] } },
      axes: [{ ...axis, values: (_, ticks, at, space, step) => ticks.map((tick) => clock(tick, step < 60)) }, { ...axis, size: 72, values: (_, ticks) => ticks.map((tick) => unit(tick)) }],
      series: [
        { value: (_, at) => (at == null ? "–" : new Date(at * 1000).toISOString().slice(11, 19) + " UTC"), label: "Time" },
        { label, stroke: resolved("--accent"), width: 1.5, value: (_, value) => (value == null ? "–" : unit(value)), points: { show: false } },
        ...(most ? [{ label: "Asked for", stroke: resolved("--muted"), dash: [4, 4], width: 1, value: () => unit(most), points: { show: false } }] : []),
      ],
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    }, data, box);
  }

  new ResizeObserver(() => drawn?.setSize({ width: Math.max(240, box.clientWidth), height: HEIGHT })).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (drawn) draw(); });

  return {
    set(times, values) {
      const before = (times.length ? times[times.length - 1] : 0) - LEAST_SECONDS;
      if (times[0] > before) [times, values] = [[before, ...times], [null, ...values]];
      data = [times, values, ...(most ? [times.map(() => most)] : [])];
      if (drawn) drawn.setData(data);
      else draw();
    },
  };
}
