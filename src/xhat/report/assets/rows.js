// Sections 6 to 8: scores and the strangest rows, the table of columns, originals beside reconstructions.
/** A line with a column's name, a track from its lowest to its highest value, and both values. */
function pairRow(column, observed, expected, extra) {
  const low = Math.min(column.low, observed ?? column.low, expected), high = Math.max(column.high, observed ?? column.high, expected), span = high - low || 1;
  const x = (v) => 3 + (94 * (v - low)) / span, level = column.form === "level";
  const track = svg("svg", { viewBox: "0 0 100 18", preserveAspectRatio: "none", "aria-hidden": "true" });
  if (!level) {
    track.append(svg("line", { x1: 0, x2: 100, y1: 9, y2: 9, class: "axis" }));
    if (observed !== null) track.append(svg("line", { x1: x(observed), x2: x(expected), y1: 9, y2: 9, class: "s-pca", "stroke-width": 3, "vector-effect": "non-scaling-stroke" }),
      svg("line", { x1: x(observed), x2: x(observed), y1: 2, y2: 16, class: "s-ink", "stroke-width": 3, "vector-effect": "non-scaling-stroke" }));
    track.append(svg("line", { x1: x(expected), x2: x(expected), y1: 4, y2: 14, class: "s-xhat", "stroke-width": 3, "stroke-dasharray": "2 2", "vector-effect": "non-scaling-stroke" }));
  }
  const text = `${cell(column, observed)} / ${cell(column, expected, true)}`;
  return el("div", { class: level && !extra ? "row words" : "row" }, el("span", { class: "name", title: column.name }, column.name), extra || (level ? null : track),
    el("span", { class: "val", title: text, dataset: { observed: observed ?? "", expected } }, text));
}
const pairLegend = () => el("div", { class: "legend" },
  el("span", {}, svg("svg", { width: 12, height: 14, "aria-hidden": "true" }, svg("line", { x1: 6, x2: 6, y1: 1, y2: 13, class: "s-ink", "stroke-width": 3 })), "observed"),
  el("span", {}, svg("svg", { width: 12, height: 14, "aria-hidden": "true" }, svg("line", { x1: 6, x2: 6, y1: 2, y2: 12, class: "s-xhat", "stroke-width": 3, "stroke-dasharray": "2 2" })), "expected (reconstruction)"),
  el("span", {}, svg("svg", { width: 22, height: 14, "aria-hidden": "true" }, svg("line", { x1: 1, x2: 21, y1: 7, y2: 7, class: "s-pca", "stroke-width": 3 })), "the difference"));
{
  const S = R.scores, node = section("scores", "Scores: strangest rows",
    "How to read it: each bar counts rows of a score; usual rows stand left, strange ones right of the dashed threshold. A score of 0 is a row rebuilt perfectly and near to rows that the model knows.");
  const host = el("div", { class: "plot" }), said = el("p", { id: "threshold-said", role: "status" }), bars = el("div");
  let at = 0, plot = null;
  const draw = (width) => {
    const height = Math.max(220, Math.min(300, width * 0.4)), t = S.thresholds[at];
    plot = frame(host, width, height, { x: { low: t.edges[0], high: t.edges.at(-1), log: true }, y: { low: 0, high: Math.max(...t.counts) * 1.15 },
      xName: "anomaly score in nats (log scale)", yName: "rows", label: `Histogram of ${count(S.rows)} scores; the median is ${fmt(S.median)}.` });
    t.counts.forEach((c, i) => {
      const x0 = plot.X(t.edges[i]), x1 = plot.X(t.edges[i + 1]), y = plot.Y(c), above = i >= t.below;
      const bar = svg("rect", { x: x0 + 0.5, width: Math.max(0.5, x1 - x0 - 1), y, height: plot.bottom - y, class: above ? "f-pca" : "f-xhat" });
      bar.addEventListener("pointermove", (event) => showTip(event.clientX, event.clientY, `${count(c)} rows\nscore ${fmt(t.edges[i])} to ${fmt(t.edges[i + 1])}`));
      bar.addEventListener("pointerleave", hideTip);
      plot.root.append(bar);
    });
    if (t.value >= plot.X.low && t.value <= plot.X.high) {
      const x = plot.X(t.value), end = x > (plot.left + plot.right) / 2;
      plot.root.append(svg("line", { x1: x, x2: x, y1: plot.top, y2: plot.bottom, class: "s-mark", "stroke-dasharray": "5 3", "stroke-width": 2 }),
        svg("text", { x: x + (end ? -6 : 6), y: plot.top + 12, "text-anchor": end ? "end" : "start", class: "f-mark halo" }, `threshold ${fmt(t.value)}`));
    }
    said.textContent = `Threshold ${fmt(t.value, 5)} nats (${percent(t.rate)} ${t.what}): ${count(t.flagged)} of ${count(S.rows)} rows lie above it (${percent(t.flagged / S.rows, 2)}). ${t.note}`;
    said.dataset.value = t.value; said.dataset.flagged = t.flagged;
  };
  const redraw = responsive(host, draw);
  const list = () => { const t = S.thresholds[at]; bars.replaceChildren(numbers("Rows per score", ["from", "to", "rows"], t.counts.map((c, i) => [t.edges[i], t.edges[i + 1], c]))); };
  list();
  node.append(el("div", { class: "controls" }, fill(select("Threshold", S.thresholds.map((t, i) => [String(i), `${percent(t.rate)}: ${t.what}`]), "0", (v) => { at = +v; redraw(); list(); }), { id: "threshold" }, [])),
    host, said, bars);

  const detail = el("div", { id: "strange-detail", "aria-live": "polite" });
  const named = (p) => R.columns[p[0]].name;
  const show = (r) => {
    const top = Math.max(...r.parts.map((p) => p[3] + p[4]), 1e-12), at = R.strangest.indexOf(r);
    const shown = [el("h3", {}, `Row ${r.row}: score ${fmt(r.score)} nats`)];
    if (I && at < I.strange_observed.shape[0]) {
      const nats = slice(I.strange_nats, at), most = Math.max(...nats);
      shown.push(el("div", { class: "images" },
        el("figure", {}, picture(slice(I.strange_observed, at), `Row ${r.row}, observed`, { size: 96 }), "observed"),
        el("figure", {}, picture(slice(I.strange_expected, at), `Row ${r.row}, expected`, { size: 96 }), "expected"),
        el("figure", {}, picture(nats, `Row ${r.row}, nats per pixel`, { size: 96, map: (v) => cividis(v / most) }), "nats (yellow: most)")));
    }
    shown.push(el("p", { class: "how" }, "The longest bars are the columns that make the row strange: dark, the cell does not fit the others; light, the row as a whole is far there from what known codes decode to. Beside them what was observed / what the other cells make the model expect."),
      el("div", { class: "rows" }, r.parts.map(([j, observed, expected, cell, code]) => {
        const width = (100 * cell) / top, text = `${fmt(cell)} nats of the cell, ${fmt(code)} of the code`;
        const bar = svg("svg", { viewBox: "0 0 100 18", preserveAspectRatio: "none", role: "img", "aria-label": text },
          svg("rect", { x: 0, y: 3, width: Math.max(0.5, width), height: 12, class: "f-pca" }),
          svg("rect", { x: width, y: 3, width: (100 * code) / top, height: 12, class: "f-pca light" }));
        bar.addEventListener("pointermove", (event) => showTip(event.clientX, event.clientY, `${R.columns[j].name}: ${text}`));
        bar.addEventListener("pointerleave", hideTip);
        return pairRow(R.columns[j], observed, expected, bar);
      })));
    detail.replaceChildren(...shown);
  };
  const table = sortable({ id: "strangest", caption: "The strangest rows, the strangest first.", rows: R.strangest, onpick: show, columns: [
    { name: "row", number: true, key: (r) => r.row, show: (r) => r.row },
    { name: "score (nats)", number: true, key: (r) => r.score, show: (r) => fmt(r.score) },
    { name: "because of", className: "name", key: (r) => (r.parts.length ? named(r.parts[0]) : ""), show: (r) => r.parts.slice(0, 2).map(named).join(", ") }] });
  node.append(el("h3", {}, R.strangest.length === 1 ? "The strangest row" : `The ${count(R.strangest.length)} strangest rows`), el("div", { class: "split" }, table, detail));
  if (R.strangest.length) { show(R.strangest[0]); table.querySelector("tbody tr").setAttribute("aria-selected", "true"); }
}
{
  const node = section("columns", "Columns",
    "How to read it: a column whose held-out loss is near that of the mean is not in the code; loss here is that of the rows of this page, its share how much of the whole; in the sketch (expected over observed), points on the diagonal are rebuilt exactly.");
  const sketch = (column) => {
    const all = column.sketch.filter(([x, y]) => x !== null && y !== null);
    const low = Math.min(...all.flat()), high = Math.max(...all.flat()), at = (v) => 4 + (40 * (v - low)) / (high - low || 1);
    const root = svg("svg", { width: 48, height: 48, viewBox: "0 0 48 48", role: "img", "aria-label": `Expected over observed, ${all.length} rows` }, svg("rect", { x: 1, y: 1, width: 46, height: 46, class: "f-none axis" }));
    if (column.form === "level") {
      const right = all.filter(([x, y]) => x === y).length;
      return el("span", {}, `${right} of ${all.length} right`);
    }
    fill(root, {}, [svg("line", { x1: 4, y1: 44, x2: 44, y2: 4, class: "axis" }), all.map(([x, y]) => svg("circle", { cx: at(x), cy: 48 - at(y), r: 1.6, class: "f-xhat" }))]);
    return root;
  };
  node.append(sortable({ id: "column-table", caption: `${R.columns.length} of ${count(R.header.columns)} columns; loss: ${R.verdict.unit}.`, rows: R.columns, columns: [
    { name: "column", className: "name", key: (c) => c.name, show: (c) => c.name },
    { name: "kind", key: (c) => c.kind },
    { name: "missing", number: true, key: (c) => c.missing, show: (c) => percent(c.missing) },
    ...[["mean", "mean"], ["pca", "PCA"], ["xhat", "xhat"]].map(([key, name]) => ({ name, number: true, key: (c) => c.held_out[key] ?? -1, show: (c) => (c.held_out[key] === null ? "" : fmt(c.held_out[key], 3)) })),
    { name: "loss here", number: true, key: (c) => c.loss, show: (c) => fmt(c.loss, 3) },
    { name: "share", number: true, key: (c) => c.share, show: (c) => percent(c.share) },
    { name: "nats", number: true, key: (c) => c.nats, show: (c) => fmt(c.nats, 3) },
    { name: "spread", number: true, key: (c) => c.spread, show: (c) => (c.spread === null ? "" : fmt(c.spread, 3)) },
    { name: "sketch", key: (c) => c.loss, show: sketch }] }),
    el("p", { class: "how" }, `Mean, PCA, xhat: losses on ${R.verdict.n_rows} ${R.verdict.rows}, all at the same code size. Loss here, share and nats are means over the rows of this page (nats by how far the column's own cells are from what is rebuilt; explain says which cells caused that, and adds up differently); spread is that of the residuals on rows not trained on, in the column's own units.`));
}
{
  const O = R.originals, node = section("originals", "Original and reconstruction",
    I ? "How to read it: above the image as it is, below it what the code gives back; what is blurred or gone was not kept by the code."
      : "How to read it: each line is a column from its lowest to its highest value; the shorter the bar between the two marks, the better the column is rebuilt.");
  if (I) {
    node.append(el("div", { class: "images", id: "image-grid" }, I.rows.map((row, i) => el("figure", {},
      picture(slice(I.observed, i), `Row ${row}, original`), picture(slice(I.expected, i), `Row ${row}, reconstruction`), `row ${row}`))));
    even(node.querySelector("#image-grid"));
  }
  const lines = el("div", { class: "rows", id: "pair-rows" });
  const show = (i) => lines.replaceChildren(...R.columns.map((column, j) => pairRow(column, O.observed[i][j], O.expected[i][j])));
  const bars = [el("div", { class: "controls" }, fill(select("Row", O.rows.map((row, i) => [String(i), "row " + row]), "0", (v) => show(+v)), { id: "pair-choice" }, [])), pairLegend(), lines];
  node.append(I ? el("details", {}, el("summary", {}, "The same as bars, pixel by pixel"), bars) : el("div", {}, bars));
  show(0);
}
