"use strict";
// What all panels share: the data, which designs are shown, which one is selected, and how numbers are written.
const D = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const COUNT = D.ids.length;
const COLORS = ["#3b74d1", "#d1720f", "#2b9a62", "#9b59c4", "#c2417a", "#7a7f1d", "#1f93a6", "#8a5a44"];
const state = { x: 0, y: Math.min(1, D.metrics.length - 1), z: -1, color: -1, excluded: false, selected: -1, a: -1, b: -1,
  ranges: new Map(), reason: "", yaw: 0.6, pitch: 0.4, sort: 0, down: false };
const listeners = [];
const onChange = (call) => listeners.push(call);
function change(values) { Object.assign(state, values); listeners.forEach((call) => call()); }

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "line", "path", "text", "circle", "title"].includes(tag);
  const found = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") found.addEventListener(name, value);
    else if (value !== null && value !== false) found.setAttribute(name, value === true ? "" : value);
  }
  found.append(...children.map((child) => child instanceof Node ? child : String(child)));
  return found;
}
const clear = (node, ...children) => { node.replaceChildren(...children); return node; };
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function number(value) {
  if (value === null || value === undefined) return "-";
  const size = Math.abs(value);
  if (value && (size < 1e-3 || size >= 1e12)) return value.toExponential(3);
  return size >= 999.95 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(4)));
}
const shown = (metric, row) => metric.values[row] === null ? "-" : number(metric.values[row] * metric.factor);
const factored = (metric, row) => metric.values[row] === null ? NaN : metric.values[row] * metric.factor;
function parameter(p, row) {
  if (!p.codes) return D.of_family && !D.of_family[D.groups[D.of_group[row]]].includes(p.name) ? "-" : String(p.values[0]);
  return p.codes[row] < 0 ? "-" : String(p.values[p.codes[row]]);
}
const SI = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"], [1e-12, "p"], [1e-15, "f"]];
function quantity(value, unit) {
  if (!value) return `0 ${unit}`;
  const [size, prefix] = SI.find(([size]) => Math.abs(value) >= size) || SI[SI.length - 1];
  return `${number(value / size)} ${prefix}${unit}`;
}
const areaText = (um2) => um2 >= 1e5 ? `${number(um2 / 1e6)} mm²` : `${number(um2)} µm²`;

// Axes of the parallel coordinates: parameters of several values, then objectives.
const AXES = [
  ...D.parameters.filter((p) => p.codes).map((p) => ({ name: p.name, label: p.name, at: (row) => p.codes[row] < 0 ? NaN : p.codes[row],
    low: 0, high: p.values.length - 1, text: (value) => String(p.values[Math.round(value)]), values: p.values, log: false })),
  ...D.metrics.filter((m) => m.objective).map((m) => {
    const all = m.values.filter((value) => value !== null).map((value) => value * m.factor);
    return { name: m.name, label: m.label, at: (row) => factored(m, row), low: all.reduce((a, b) => Math.min(a, b), Infinity),
      high: all.reduce((a, b) => Math.max(a, b), -Infinity), text: number, values: null, log: m.log };
  }),
];
function place(axis, value) {
  const [low, high, at] = axis.log ? [axis.low, axis.high, value].map(Math.log) : [axis.low, axis.high, value];
  return high > low ? (at - low) / (high - low) : 0.5;
}
function value(axis, at) {
  if (!axis.log) return axis.low + at * (axis.high - axis.low);
  return Math.exp(Math.log(axis.low) + at * (Math.log(axis.high) - Math.log(axis.low)));
}
let kept = [];
function keep() {
  kept = [];
  for (let row = 0; row < COUNT; row++) {
    if (D.state[row] === 2 && !state.excluded) continue;
    if (state.reason && D.reason[row] !== state.reason) continue;
    let fine = true;
    for (const [name, [low, high]] of state.ranges) {
      const at = AXES.find((axis) => axis.name === name).at(row);
      if (!(at >= low && at <= high)) { fine = false; break; }
    }
    if (fine) kept.push(row);
  }
}
onChange(keep);

// A canvas in device pixels, drawn again when its size or the theme changes.
function canvas(node, height, draw) {
  const paint = () => {
    const ratio = window.devicePixelRatio || 1, width = node.clientWidth;
    node.width = width * ratio; node.height = height * ratio; node.style.height = `${height}px`;
    const pen = node.getContext("2d");
    pen.scale(ratio, ratio); pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif"; pen.fillStyle = color("text");
    draw(pen, width, height);
  };
  onChange(paint);
  window.addEventListener("resize", paint);
}
function viridis(at) {
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const scaled = Math.min(0.9999, Math.max(0, at)) * 4, low = Math.floor(scaled);
  return `rgb(${stops[low].map((c, i) => Math.round(c + (stops[low + 1][i] - c) * (scaled - low))).join(",")})`;
}
function limits(metric, rows) {
  let low = Infinity, high = -Infinity;
  for (const row of rows) {
    const at = factored(metric, row);
    if (at < low) low = at;
    if (at > high) high = at;
  }
  if (!(high > low)) { const wide = Math.abs(low) * 0.05 || 1; return rows.length ? [low - wide, high + wide, false] : [0, 1, false]; }
  if (metric.log && low > 0) { const room = (high / low) ** 0.04; return [low / room, high * room, true]; }
  return [low - 0.04 * (high - low), high + 0.04 * (high - low), false];
}
const scaled = ([low, high, log], at) => log ? Math.log(at / low) / Math.log(high / low) : (at - low) / (high - low);
function ticks([low, high, log]) {
  const found = [];
  if (log) {
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const step of [1, 2, 5]) found.push(step * 10 ** power);
    return found.filter((tick) => tick >= low && tick <= high);
  }
  const raw = (high - low) / 6, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= raw);
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) found.push(tick);
  return found;
}
const groupColor = (row) => COLORS[D.of_group[row] % COLORS.length];

byId("theme").addEventListener("click", () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  change({});
});
if (window.matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.dataset.theme = "dark";
