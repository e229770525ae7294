// Axes, lines and histograms as SVG, drawn at the width they have.
function ticks(low, high, want) {
  const raw = (high - low) / Math.max(1, want), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) || power;
  const found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) found.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  return found;
}
function logTicks(low, high, want) {
  const found = [], first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  const inner = last - first <= 2 ? [1, 2, 5] : [1];
  for (let e = first; e <= last; e++) for (const m of inner) {
    const v = m * 10 ** e;
    if (v >= low * 0.999 && v <= high * 1.001) found.push(v);
  }
  const every = Math.ceil(found.length / Math.max(2, want));
  return found.length > 1 ? found.filter((_, i) => i % every === 0) : [low, high];
}
function scale(low, high, from, to, log) {
  const f = log ? Math.log : (v) => v;
  if (!(high > low)) { const pad = log ? 1.5 : Math.abs(low) * 0.1 || 1; low = log ? low / pad : low - pad; high = log ? high * pad : high + pad; }
  const a = f(low), b = f(high), s = (v) => from + ((f(v) - a) / (b - a)) * (to - from);
  s.low = low; s.high = high; s.log = log;
  s.invert = (p) => { const t = a + ((p - from) / (to - from)) * (b - a); return log ? Math.exp(t) : t; };
  return s;
}
/** Frame with ticks and named axes; returns the group to draw into and the scales. */
function frame(host, width, height, { x, y, xName, yName, xTicks, label }) {
  const left = 62, right = 14, top = 10, bottom = 44;
  const X = scale(x.low, x.high, left, width - right, x.log), Y = scale(y.low, y.high, height - bottom, top, y.log);
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const yt = (y.log ? logTicks : ticks)(Y.low, Y.high, 5);
  for (const v of yt) root.append(
    svg("line", { class: "grid-line", x1: left, x2: width - right, y1: Y(v), y2: Y(v) }),
    svg("text", { class: "tick", x: left - 10, y: Y(v) + 4, "text-anchor": "end" }, fmt(v, 3)));
  const xt = xTicks || (x.log ? logTicks : ticks)(X.low, X.high, Math.max(3, width / 90));
  for (const v of xt) root.append(
    svg("line", { class: "axis", x1: X(v), x2: X(v), y1: height - bottom, y2: height - bottom + 4 }),
    svg("text", { class: "tick", x: X(v), y: height - bottom + 17, "text-anchor": "middle" }, fmt(v, 3)));
  root.append(
    svg("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    svg("text", { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, xName),
    svg("text", { transform: `translate(13 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yName));
  host.replaceChildren(root);
  return { root, X, Y, left, right: width - right, top, bottom: height - bottom };
}
const DASH = { xhat: null, pca: "7 4", mean: "2 4" };
const marker = (kind, x, y, r = 4) => kind === "pca"
  ? svg("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, class: "f-pca" })
  : svg("circle", { cx: x, cy: y, r, class: "f-" + kind });
function legend(entries) {
  return el("div", { class: "legend" }, entries.map(([kind, text, dots]) => el("span", {},
    svg("svg", { width: 30, height: 12, "aria-hidden": "true" },
      svg("line", { x1: 0, x2: 30, y1: 6, y2: 6, class: "s-" + kind, "stroke-width": 2, "stroke-dasharray": DASH[kind] }),
      dots && marker(kind, 15, 6, 3.5)), text)));
}
/** Lines over a common x; hover or arrow keys read the values of every line at one x. */
function lineChart(parent, { series, xName, yName, xTicks, xLog, marks = [], label, unit }) {
  const host = el("div", { tabindex: 0, class: "plot", role: "group", "aria-label": label + " Arrow keys read the values." });
  parent.append(legend(series.map((s) => [s.kind, s.name, s.dots])), host);
  const all = series.flatMap((s) => s.points), xs = [...new Set(all.map((p) => p[0]))].sort((a, b) => a - b);
  const ys = all.map((p) => p[1]).filter((v) => v > 0), low = Math.min(...ys), high = Math.max(...ys);
  const yLog = high / low > 20 && all.every((p) => p[1] > 0);
  let at = xs.length - 1, plot = null, cursor = null;
  const draw = (width) => {
    const height = Math.max(230, Math.min(340, width * 0.5));
    plot = frame(host, width, height, {
      x: { low: xs[0], high: xs.at(-1), log: xLog }, y: { low: yLog ? low * 0.9 : 0, high: yLog ? high * (high / low) ** 0.12 : high * 1.12, log: yLog },
      xName, yName: yName + (yLog ? " (log scale)" : ""), xTicks, label });
    for (const mark of marks) {
      const x = plot.X(mark.x), end = x > (plot.left + plot.right) / 2;
      plot.root.append(svg("line", { x1: x, x2: x, y1: plot.top, y2: plot.bottom, class: "s-mark", "stroke-dasharray": "3 3", "stroke-width": 1.5 }),
        svg("text", { x: x + (end ? -6 : 6), y: plot.top + 12, class: "f-mark halo", "text-anchor": end ? "end" : "start" }, mark.text));
    }
    for (const s of [...series].reverse()) { // the first on top
      const path = s.points.filter((p) => !yLog || p[1] > 0).map((p) => `${plot.X(p[0]).toFixed(1)},${plot.Y(p[1]).toFixed(1)}`).join(" ");
      plot.root.append(svg("polyline", { points: path, fill: "none", class: "s-" + s.kind, "stroke-width": 2, "stroke-dasharray": DASH[s.kind] }));
      if (s.dots) for (const p of s.points) plot.root.append(marker(s.kind, plot.X(p[0]), plot.Y(p[1])));
    }
    cursor = svg("line", { y1: plot.top, y2: plot.bottom, class: "s-ink", "stroke-width": 1, visibility: "hidden" });
    plot.root.append(cursor);
  };
  const read = (i, x, y) => {
    at = i;
    const v = xs[i], lines = [`${unit} ${v}`];
    for (const s of series) { const p = s.points.find((q) => q[0] === v); if (p) lines.push(`${s.name}: ${fmt(p[1], 5)}`); }
    fill(cursor, { x1: plot.X(v), x2: plot.X(v), visibility: "visible" }, []);
    showTip(x, y, lines.join("\n"));
  };
  const hide = () => { hideTip(); cursor?.setAttribute("visibility", "hidden"); };
  host.addEventListener("pointermove", (event) => {
    const x = event.clientX - host.getBoundingClientRect().left;
    let best = 0;
    xs.forEach((v, i) => { if (Math.abs(plot.X(v) - x) < Math.abs(plot.X(xs[best]) - x)) best = i; });
    read(best, event.clientX, event.clientY);
  });
  host.addEventListener("pointerleave", hide);
  host.addEventListener("blur", hide);
  host.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const box = host.getBoundingClientRect(), i = Math.max(0, Math.min(xs.length - 1, at + step));
    read(i, box.left + plot.X(xs[i]), box.top + 40);
  });
  responsive(host, draw);
}
/** A small histogram without axes, for cards. */
function spark(counts, label) {
  const top = Math.max(...counts, 1), w = 220, h = 44, step = w / counts.length;
  return svg("svg", { viewBox: `0 0 ${w} ${h}`, width: "100%", height: h, preserveAspectRatio: "none", role: "img", "aria-label": label },
    counts.map((c, i) => svg("rect", { x: i * step + 0.5, width: step - 1, y: h - (h * c) / top, height: (h * c) / top, class: "f-xhat" })));
}
