// Section 5: sampled rows in the plane of two units, coloured by score or any column.
{
  const P = R.plane, n = P.rows.length, codes = unpack(P.codes), directions = unpack(P.directions), score = unpack(P.score), values = unpack(P.values), c = R.columns.length;
  const node = section("plane", "Code plane",
    "How to read it: every point is a row; points close together have similar codes, and a colour that changes smoothly says that the code keeps that column. Drag to select rows; arrow keys walk from point to point, Enter selects.");
  const axes = [...Array.from({ length: P.k }, (_, u) => ["u" + u, "code" + u])];
  if (P.k > 1) axes.push(["d0", `principal direction 1 (${percent(P.direction_share[0], 0)})`], ["d1", `principal direction 2 (${percent(P.direction_share[1], 0)})`]);
  const along = (key) => (i) => key[0] === "u" ? codes[i * P.k + +key.slice(1)] : directions[2 * i + +key.slice(1)];
  const state = { x: P.k > 1 ? "d0" : "u0", y: P.k > 1 ? "d1" : "u0", by: "score", hot: null, chosen: new Set() };
  const value = (j) => (i) => values[i * c + j];
  const CATEGORY = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#666666"];
  const canvas = el("canvas", { tabindex: 0, role: "img", "aria-label": "Rows in the code plane", "aria-describedby": "plane-now" });
  const host = el("div", { class: "plane" }, canvas), key = el("div", { class: "legend", id: "plane-legend" }), chosen = el("div", { id: "selection" });
  const said = el("p", { class: "how", id: "plane-now", role: "status" });
  let place = [], redraw = () => {};

  function paintOf() {
    if (state.by !== "score") {
      const j = +state.by, column = R.columns[j], get = value(j);
      if (column.form === "level" || column.form === "bool") return groups(column, get);
      return ramp(column.name, get, false, (v) => cell(column, v));
    }
    return ramp("score in nats, log scale", (i) => Math.max(score[i], 1e-6), true, (v) => fmt(v, 3));
  }
  function ramp(name, get, log, show) {
    const f = log ? Math.log : (v) => v, all = Array.from({ length: n }, (_, i) => get(i)).filter((v) => !Number.isNaN(v)).sort((a, b) => a - b);
    const low = all[Math.floor(all.length * 0.02)], high = all[Math.ceil(all.length * 0.98) - 1], span = f(high) - f(low) || 1;
    const bar = el("canvas", { width: 100, height: 1, class: "ramp", "aria-hidden": "true" }), context = bar.getContext("2d");
    for (let p = 0; p < 100; p++) { context.fillStyle = `rgb(${cividis(p / 99)})`; context.fillRect(p, 0, 1, 1); }
    const missing = n - all.length;
    key.replaceChildren(el("span", {}, name + ":"), el("span", {}, "\u2264 " + show(low), bar, "\u2265 " + show(high)), missing ? el("span", {}, `${missing} missing: hollow`) : "");
    return (i) => { const v = get(i); return { fill: Number.isNaN(v) ? null : `rgb(${cividis((f(v) - f(low)) / span)})`, shape: 0 }; };
  }
  function groups(column, get) {
    const seen = new Map();
    for (let i = 0; i < n; i++) { const v = get(i); if (!Number.isNaN(v)) seen.set(v, (seen.get(v) || 0) + 1); }
    const top = [...seen].sort((a, b) => b[1] - a[1]).slice(0, 7).map(([v]) => v), rest = seen.size > top.length;
    const entry = (g, text) => { const mark = el("canvas", { width: 14, height: 14, "aria-hidden": "true" }); dot(mark.getContext("2d"), 7, 7, 5, g < 0 ? { fill: null, shape: 0 } : { fill: CATEGORY[g], shape: g }); return el("span", {}, mark, text); };
    key.replaceChildren(...top.map((v, g) => entry(g, cell(column, v))), rest ? entry(7, "others") : "", entry(-1, "missing"));
    const of = new Map(top.map((v, g) => [v, g]));
    return (i) => { const v = get(i); if (Number.isNaN(v)) return { fill: null, shape: 0 }; const g = of.has(v) ? of.get(v) : 7; return { fill: CATEGORY[g], shape: g }; };
  }
  function dot(context, x, y, r, { fill: paint, shape }) {
    context.beginPath();
    if (shape % 4 === 0) context.arc(x, y, r, 0, 7);
    else if (shape % 4 === 1) context.rect(x - r * 0.9, y - r * 0.9, 1.8 * r, 1.8 * r);
    else if (shape % 4 === 2) { context.moveTo(x, y - 1.2 * r); context.lineTo(x + 1.1 * r, y + r * 0.8); context.lineTo(x - 1.1 * r, y + r * 0.8); context.closePath(); }
    else { context.moveTo(x, y - 1.3 * r); context.lineTo(x + 1.3 * r, y); context.lineTo(x, y + 1.3 * r); context.lineTo(x - 1.3 * r, y); context.closePath(); }
    if (paint) { context.fillStyle = paint; context.fill(); context.lineWidth = 0.6; context.strokeStyle = "rgba(128,128,128,.8)"; context.stroke(); }
    else { context.strokeStyle = "#888"; context.lineWidth = 1; context.stroke(); }
  }
  let box = null, brush = null;
  function draw(width) {
    const height = Math.min(520, Math.max(280, width * 0.62)), ratio = devicePixelRatio || 1, left = 52, bottom = 40, top = 8, right = 10;
    canvas.width = width * ratio; canvas.height = height * ratio;
    canvas.style.width = width + "px"; canvas.style.height = height + "px";
    const context = canvas.getContext("2d"), gx = along(state.x), gy = state.x === state.y ? (i) => ((i * 0.618034) % 1) : along(state.y);
    context.scale(ratio, ratio);
    const xs = Array.from({ length: n }, (_, i) => gx(i)), ys = Array.from({ length: n }, (_, i) => gy(i));
    const extent = (a) => { const l = a.reduce((p, v) => Math.min(p, v), Infinity), h = a.reduce((p, v) => Math.max(p, v), -Infinity), pad = (h - l || 1) * 0.04; return [l - pad, h + pad]; };
    const X = scale(...extent(xs), left, width - right), Y = scale(...extent(ys), height - bottom, top);
    context.font = '11px system-ui, "DejaVu Sans", sans-serif'; context.strokeStyle = colour("grid"); context.fillStyle = colour("muted");
    for (const v of ticks(Y.low, Y.high, 5)) { context.beginPath(); context.moveTo(left, Y(v)); context.lineTo(width - right, Y(v)); context.stroke(); context.textAlign = "right"; context.fillText(fmt(v, 3), left - 6, Y(v) + 4); }
    for (const v of ticks(X.low, X.high, Math.max(3, width / 100))) { context.beginPath(); context.moveTo(X(v), top); context.lineTo(X(v), height - bottom); context.stroke(); context.textAlign = "center"; context.fillText(fmt(v, 3), X(v), height - bottom + 16); }
    context.fillStyle = colour("ink"); context.font = '12px system-ui, "DejaVu Sans", sans-serif';
    const name = (axis) => axes.find(([id]) => id === axis)[1];
    context.fillText(name(state.x), (left + width) / 2, height - 6);
    context.save(); context.translate(12, height / 2 - 10); context.rotate(-Math.PI / 2); context.fillText(state.x === state.y ? "(spread out)" : name(state.y), 0, 0); context.restore();
    const look = paintOf(), r = n > 1500 ? 2.6 : 3.6;
    place = xs.map((x, i) => [X(x), Y(ys[i])]);
    place.forEach(([x, y], i) => dot(context, x, y, r, look(i)));
    context.strokeStyle = colour("ink");
    for (const i of state.chosen) { context.beginPath(); context.lineWidth = 1.6; context.arc(...place[i], r + 2.5, 0, 7); context.stroke(); }
    if (state.hot !== null) { context.beginPath(); context.lineWidth = 2.4; context.arc(...place[state.hot], r + 4, 0, 7); context.stroke(); }
    if (brush) { context.setLineDash([4, 3]); context.lineWidth = 1.2; context.strokeRect(brush[0], brush[1], brush[2] - brush[0], brush[3] - brush[1]); context.setLineDash([]); }
    box = { left, right: width - right, top, bottom: height - bottom };
  }
  const words = (i) => {
    const at = state.by === "score" ? [] : [`${R.columns[+state.by].name}: ${cell(R.columns[+state.by], value(+state.by)(i))}`];
    return [`row ${P.rows[i]}`, `score ${fmt(score[i])} nats`, ...at, `${state.x === state.y ? "" : fmt(along(state.y)(i)) + " / "}${fmt(along(state.x)(i))} (up / across)`].join("\n");
  };
  function heat(i, x, y) {
    state.hot = i;
    redraw();
    if (i === null) { hideTip(); return; }
    canvas.dataset.row = P.rows[i];
    showTip(x, y, words(i));
  }
  function nearest(x, y, reach) {
    let best = null, least = reach * reach;
    place.forEach(([px, py], i) => { const q = (px - x) ** 2 + (py - y) ** 2; if (q < least) { least = q; best = i; } });
    return best;
  }
  const spot = (event) => { const b = canvas.getBoundingClientRect(); return [event.clientX - b.left, event.clientY - b.top]; };
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = spot(event);
    if (brush) { brush[2] = x; brush[3] = y; hideTip(); redraw(); return; }
    heat(nearest(x, y, 24), event.clientX, event.clientY);
  });
  canvas.addEventListener("pointerleave", () => { if (!brush) heat(null); });
  canvas.addEventListener("pointerdown", (event) => { const [x, y] = spot(event); brush = [x, y, x, y]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", (event) => {
    const [x0, y0, x1, y1] = brush || [0, 0, 0, 0];
    brush = null;
    const small = Math.abs(x1 - x0) < 4 && Math.abs(y1 - y0) < 4;
    if (small) { const i = nearest(x0, y0, 24); choose(i === null ? [] : [i]); }
    else choose(place.map((p, i) => i).filter((i) => place[i][0] >= Math.min(x0, x1) && place[i][0] <= Math.max(x0, x1) && place[i][1] >= Math.min(y0, y1) && place[i][1] <= Math.max(y0, y1)));
  });
  canvas.addEventListener("keydown", (event) => {
    const b = canvas.getBoundingClientRect();
    if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      const [dx, dy] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const from = state.hot === null ? [(box.left + box.right) / 2, (box.top + box.bottom) / 2] : place[state.hot];
      let best = null, least = Infinity;
      place.forEach(([x, y], i) => { const a = (x - from[0]) * dx + (y - from[1]) * dy, s = Math.abs((x - from[0]) * dy) + Math.abs((y - from[1]) * dx); if (a > 0.5 && a + 2 * s < least) { least = a + 2 * s; best = i; } });
      if (best !== null) heat(best, b.left + place[best][0], b.top + place[best][1]);
    } else if (event.key === "Enter" && state.hot !== null) choose([...new Set([...state.chosen, state.hot])]);
    else if (event.key === "Escape") choose([]);
  });
  canvas.addEventListener("blur", () => heat(null));
  function choose(list) {
    state.chosen = new Set(list);
    redraw();
    said.textContent = list.length ? `${count(list.length)} rows selected of ${count(n)} drawn (${count(R.header.rows)} in the table).` : `${count(n)} rows drawn of ${count(R.header.rows)}; none selected.`;
    if (!list.length) { chosen.replaceChildren(); return; }
    const few = list.slice(0, 200), by = state.by === "score" ? 0 : +state.by, shown = [by, ...R.columns.keys()].filter((j, at, all) => all.indexOf(j) === at).slice(0, 5);
    chosen.replaceChildren(sortable({ id: "selected-rows", caption: `Selected rows${few.length < list.length ? ` (the first ${few.length})` : ""}.`, rows: few, columns: [
      { name: "row", number: true, key: (i) => P.rows[i], show: (i) => P.rows[i] },
      { name: "score (nats)", number: true, key: (i) => score[i], show: (i) => fmt(score[i]) },
      ...shown.map((j) => ({ name: R.columns[j].name.slice(0, 40), number: true, key: (i) => (Number.isNaN(value(j)(i)) ? null : value(j)(i)), show: (i) => cell(R.columns[j], value(j)(i)) }))] }));
  }
  const update = (field) => (v) => { state[field] = v; redraw(); };
  node.append(el("div", { class: "controls" },
    fill(select("Across", axes, state.x, update("x")), { id: "plane-x" }, []), fill(select("Up", axes, state.y, update("y")), { id: "plane-y" }, []),
    fill(select("Colour", [["score", "score"], ...R.columns.map((column, j) => [String(j), column.name.slice(0, 60)])], "score", update("by")), { id: "plane-colour" }, []),
    el("button", { type: "button", onclick: () => choose([]) }, "Clear selection")), key, host, said, chosen);
  redraw = responsive(host, draw);
  choose([]);
  window.xhatPlane = { place: () => place, rows: P.rows, score, state };
}
