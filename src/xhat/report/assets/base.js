// Elements, numbers, packed arrays, the tooltip. Text goes in as text nodes, never as markup.
"use strict";
const R = JSON.parse(document.getElementById("content").textContent);
const SVG_NS = "http://www.w3.org/2000/svg";

function fill(node, attributes, kids) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const kid of kids.flat(9)) {
    if (kid === null || kid === undefined || kid === false) continue;
    node.append(kid instanceof Node ? kid : document.createTextNode(String(kid)));
  }
  return node;
}
const el = (tag, attributes, ...kids) => fill(document.createElement(tag), attributes, kids);
const svg = (tag, attributes, ...kids) => fill(document.createElementNS(SVG_NS, tag), attributes, kids);

function fmt(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "missing";
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(Math.max(0, digits - 2)).replace("e+", "e");
  const text = value.toPrecision(digits);
  const plain = text.includes("e") ? String(Math.round(value)) : text;
  return (plain.includes(".") ? plain.replace(/\.?0+$/, "") : plain).replace("-", "\u2212");
}
const count = (n) => n.toLocaleString("en");
const percent = (share, digits = 1) => (100 * share).toFixed(digits) + "%"; // as Python writes it

/** The value of a cell in the words of its column. */
function cell(column, value, expected = false) {
  if (value === null || value === undefined || Number.isNaN(value)) return "missing";
  if (column.form === "level") {
    const i = Math.round(value);
    return i < column.levels.length ? String(column.levels[i]) : "level " + i;
  }
  if (column.form === "bool" && !expected) return value >= 0.5 ? "true" : "false";
  if (column.form === "time") {
    const moment = new Date(value * 1000);
    return Number.isNaN(moment.getTime()) ? fmt(value) : moment.toISOString().slice(0, 10);
  }
  return fmt(value);
}

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * 2 ** -14 * (fraction / 1024);
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}
function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (c) => c.charCodeAt(0));
  if (packed.dtype === "<f4") return new Float32Array(bytes.buffer);
  if (packed.dtype === "<f8") return new Float64Array(bytes.buffer);
  return Float64Array.from(new Uint16Array(bytes.buffer), half);
}

const tip = document.getElementById("tip");
function showTip(x, y, text) {
  tip.textContent = text;
  tip.hidden = false;
  const w = tip.offsetWidth, h = tip.offsetHeight;
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - w - 4)) + "px";
  tip.style.top = (y + 14 + h > innerHeight ? Math.max(4, y - h - 10) : y + 14) + "px";
}
const hideTip = () => { tip.hidden = true; };
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

const main = document.getElementById("main");
function section(id, title, how) {
  const node = el("section", { id, "aria-labelledby": id + "-title" }, el("h2", { id: id + "-title" }, title));
  if (how) node.append(el("p", { class: "how" }, how));
  main.append(node);
  document.getElementById("toc").append(el("li", {}, el("a", { href: "#" + id }, title.split(":")[0])));
  return node;
}
/** Redraw when the width of the host or the theme changes. */
const redraws = [];
function responsive(host, draw) {
  let width = 0;
  const redraw = () => { if (width) draw(width); };
  new ResizeObserver((entries) => {
    const now = Math.floor(entries[0].contentRect.width);
    if (now && now !== width) { width = now; draw(width); }
  }).observe(host);
  redraws.push(redraw);
  return redraw;
}
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  redraws.forEach((redraw) => redraw());
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraws.forEach((r) => r()));
function select(label, choices, value, onchange) {
  const box = el("select", { onchange: () => onchange(box.value) },
    choices.map(([key, text]) => el("option", { value: key, selected: key === value }, text)));
  return el("label", {}, label, box);
}
