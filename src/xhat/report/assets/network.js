// The network as a drawing, one row traced with its numbers, and original beside reconstruction.
const network = section("network", "The network", "How to read it: lines are weights, blue positive, orange negative, thicker and darker the larger; circles are the units, filled by their value for the row. The lines of the chosen unit stand out; tick the box to see them alone.");
{
  const canvas = el("canvas", { role: "img", "aria-label": "The network with its weights" }), host = el("div", {}, canvas), WEIGHTS = 16;
  const rowBox = fill(select("Row", RAW.slice(0, 40).map((_, i) => [String(i), "row " + i]), String(state.row), (v) => { state.row = +v; refresh(); }), { id: "row" }, []);
  const unitBox = el("select", { id: "unit", onchange: () => { state.unit = +unitBox.value; refresh(); } }), pixelBox = fill(select("Pixel j", Array.from({ length: D }, (_, j) => [String(j), `pixel ${j} (line ${Math.floor(j / 8)}, place ${j % 8})`]), String(state.pixel), (v) => { state.pixel = +v; refresh(); }), { id: "pixel" }, []);
  const only = el("input", { type: "checkbox", id: "only" });
  only.addEventListener("change", () => refresh());
  network.append(el("div", { class: "controls" }, rowBox, el("label", {}, "Unit l", unitBox), pixelBox, el("label", {}, "Only this unit's lines", only)), host);
  const units = () => Math.min(state.k, WEIGHTS);
  const draw = responsive(host, (width) => {
    const height = Math.max(300, Math.min(460, width * 0.5)), ratio = devicePixelRatio || 1, k = units(), t = forward(state.p, rows[state.row], state.k, G(), HEAD());
    canvas.width = width * ratio; canvas.height = height * ratio; canvas.style.width = width + "px"; canvas.style.height = height + "px";
    const context = canvas.getContext("2d"), cellSize = Math.floor(Math.min(width * 0.24, height - 60) / 8), grid = 8 * cellSize, top = (height - grid) / 2 + 6, x0 = 8, x1 = width - grid - 8, middle = width / 2;
    context.scale(ratio, ratio);
    const yOf = (l) => 34 + ((l + 0.5) * (height - 44)) / k, radius = Math.max(5, Math.min(15, (height - 60) / (2.6 * k)));
    const pixelAt = (side, j) => [side + (j % 8) * cellSize + cellSize / 2, top + Math.floor(j / 8) * cellSize + cellSize / 2];
    const biggest = (w) => w.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-12), mW = biggest(state.p.W), mS = biggest(state.p.Ws), up = colour("xhat"), down = colour("pca");
    for (let l = 0; l < k; l++) {
      const strong = l === state.unit;
      if (only.checked && !strong) continue;
      for (let j = 0; j < D; j++) for (const [side, w, most, ends] of [[x0, state.p.W[l * D + j], mW, -1], [x1, state.p.Ws[j * state.k + l], mS, 1]]) {
        const share = Math.abs(w) / most;
        if (share < (strong ? 0.03 : 0.22)) continue;
        const [px, py] = pixelAt(side, j);
        context.globalAlpha = (strong ? 0.9 : 0.28) * Math.min(1, share + 0.1);
        context.strokeStyle = w > 0 ? up : down; context.lineWidth = (strong ? 2.4 : 1.2) * share + 0.2;
        context.beginPath(); context.moveTo(px, py); context.lineTo(middle + ends * radius, yOf(l)); context.stroke();
      }
    }
    context.globalAlpha = 1;
    for (const [side, values, name] of [[x0, t.x, "x"], [x1, t.h2, "x\u0302 = h2"]]) {
      context.fillStyle = colour("card"); context.fillRect(side, top, grid, grid); // the lines end at the picture
      values.forEach((v, j) => { const [px, py] = pixelAt(side, j), [r, g, b] = grey(v); context.fillStyle = `rgb(${r},${g},${b})`; context.fillRect(px - cellSize / 2, py - cellSize / 2, cellSize - 0.5, cellSize - 0.5); });
      context.strokeStyle = colour("mark"); context.lineWidth = 2;
      const [px, py] = pixelAt(side, state.pixel);
      context.strokeRect(px - cellSize / 2, py - cellSize / 2, cellSize, cellSize);
      context.fillStyle = colour("ink"); context.font = '13px system-ui, "DejaVu Sans", sans-serif'; context.textAlign = "center"; context.fillText(name, side + grid / 2, top - 10);
    }
    context.fillText(`h1 (${state.k} units${k < state.k ? `, ${k} drawn` : ""})`, middle, 16);
    const high = Math.max(...Array.from(t.h1, Math.abs), 1e-9);
    for (let l = 0; l < k; l++) {
      const [r, g, b] = state.g === "sigmoid" ? cividis(t.h1[l]) : diverging(t.h1[l] / high);
      context.beginPath(); context.arc(middle, yOf(l), radius, 0, 7); context.fillStyle = `rgb(${r},${g},${b})`; context.fill();
      context.lineWidth = l === state.unit ? 3 : 1; context.strokeStyle = l === state.unit ? colour("mark") : colour("muted"); context.stroke();
    }
  });
  canvas.addEventListener("click", (event) => { const y = event.clientY - canvas.getBoundingClientRect().top; state.unit = Math.max(0, Math.min(units() - 1, Math.floor(((y - 34) / (canvas.clientHeight - 44)) * units()))); refresh(); });
  updates.push(() => { if (unitBox.options.length !== state.k) unitBox.replaceChildren(...Array.from({ length: state.k }, (_, l) => el("option", { value: l }, "unit " + l))); unitBox.value = state.unit; draw(); });
}
{
  const node = section("trace", "One row: the two chains", "How to read it: from top to bottom the row runs forward to its loss, then the chain rule walks back; the last lines are the gradients a step uses. Numbers in brackets are the equations of docs/maths.md.");
  const body = el("tbody", { id: "trace-rows" }), check = el("p", { id: "check", role: "status" });
  node.append(el("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Every quantity of the row" }, el("table", {}, el("caption", {}, "For the chosen row, unit l and pixel j."), el("thead", {}, el("tr", {}, ["quantity", "formula", "value", "all of it"].map((h, i) => el("th", { scope: "col", class: i === 2 ? "n" : null }, h)))), body)), check);
  const lossAt = (name, i, step) => { const old = state.p[name][i]; state.p[name][i] = old + step; const t = forward(state.p, rows[state.row], state.k, G(), HEAD()); state.p[name][i] = old; return t.loss; };
  updates.push(() => {
    const k = state.k, j = state.pixel, l = state.unit, q = traceRow(state.p, rows[state.row], k, G(), HEAD()), cross = HEAD().cross;
    window.xhatLesson = { state, trace: q };
    const line = (name, formula, value, all) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, el("code", {}, formula)), el("td", { class: "n", dataset: { value, name } }, fmt(value, 7)), el("td", {}, all && all.length === D ? picture(Array.from(all), name + ", all pixels", { size: 34, map: strip(all) }) : all ? bars(all) : ""));
    body.replaceChildren(
      line(`x[${j}]`, "the row", q.x[j], q.x), line(`a1[${l}]`, "W x + b   (1)", q.a1[l], q.a1), line(`h1[${l}]`, `g(a1), ${state.g}   (2)`, q.h1[l], q.h1), line(`a2[${j}]`, "W* h1 + c   (3)", q.a2[j], q.a2), line(`h2[${j}] = x\u0302[${j}]`, `f(a2), ${HEAD().name.split(",")[0]}   (4)`, q.h2[j], q.h2),
      line("L", cross ? "sum of \u2212x log x\u0302 \u2212 (1\u2212x) log(1\u2212x\u0302)   (9)" : "sum of (x\u0302 \u2212 x)\u00b2   (7)", q.loss[0]),
      line(`dL/dh2[${j}]`, cross ? "\u2212x/x\u0302 + (1\u2212x)/(1\u2212x\u0302)" : "2 (x\u0302 \u2212 x)", q["dL/dh2"][j], q["dL/dh2"]), line(`dh2/da2[${j}]`, "f'(a2)", q["dh2/da2"][j], q["dh2/da2"]), line(`dL/da2[${j}]`, cross ? "their product = x\u0302 \u2212 x   (16)" : "their product   (14)", q["dL/da2"][j], q["dL/da2"]),
      line(`da2/dW*[${j},${l}]`, "h1[l]", q["da2/dW*"][l]), line(`dL/dW*[${j},${l}]`, "dL/da2[j] \u00b7 h1[l]   (11)", q["dL/dW_star"][j * k + l]), line(`dL/dc[${j}]`, "dL/da2[j]", q["dL/dc"][j]),
      line(`da2/dh1[${j},${l}]`, "W*[j,l]", q["da2/dh1"][j * k + l]), line(`dL/dh1[${l}]`, "sum over j of dL/da2[j] \u00b7 W*[j,l]", q["dL/dh1"][l], q["dL/dh1"]), line(`dh1/da1[${l}]`, "g'(a1)   (5)", q["dh1/da1"][l], q["dh1/da1"]), line(`dL/da1[${l}]`, "their product", q["dL/da1"][l], q["dL/da1"]),
      line(`dL/dW[${l},${j}]`, "dL/da1[l] \u00b7 x[j]   (12)", q["dL/dW"][l * D + j]), line(`dL/db[${l}]`, "dL/da1[l]", q["dL/db"][l]));
    const e = 1e-5, slope = (name, i) => (lossAt(name, i, e) - lossAt(name, i, -e)) / (2 * e);
    let text = `By finite differences: dL/dW*[${j},${l}] = ${fmt(slope("Ws", j * k + l), 7)}, dL/dW[${l},${j}] = ${fmt(slope("W", l * D + j), 7)}.`;
    if (state.fitted && state.step === 0 && state.row === R.traced) {
      let most = 0;
      for (const [name, packed] of Object.entries(R.fitted[state.head].trace)) { const theirs = unpack(packed), mine = q[name]; theirs.forEach((v, i) => { most = Math.max(most, Math.abs(v - mine[i]) / Math.max(1, Math.abs(v))); }); }
      text += ` Largest difference to ae.trace(x) in Python over all quantities: ${most.toExponential(1)}.`;
      check.dataset.difference = most;
    } else delete check.dataset.difference;
    check.textContent = text;
  });
  const strip = (all) => { const most = Math.max(...Array.from(all, Math.abs), 1e-12); return (v) => diverging(v / most); };
  const bars = (all) => { const few = Array.from(all).slice(0, 24), most = Math.max(...few.map(Math.abs), 1e-12); return svg("svg", { width: 6 * few.length, height: 34, role: "img", "aria-label": `All ${all.length} units` }, svg("line", { x1: 0, x2: 6 * few.length, y1: 17, y2: 17, class: "axis" }), few.map((v, i) => svg("rect", { x: 6 * i, width: 5, y: v > 0 ? 17 - (16 * v) / most : 17, height: Math.max(0.5, (16 * Math.abs(v)) / most), class: v > 0 ? "f-xhat" : "f-pca" }))); };
}
{
  const node = section("compare", "Original, model, PCA", "How to read it: above the digit, in the middle what the model gives back, below what PCA gives back with as many units. The last column is noise (pixels shuffled between rows): whoever rebuilds it well copies instead of learning.");
  const grid = el("div", { class: "images", id: "comparison" });
  node.append(grid);
  const align = even(grid);
  updates.push(() => {
    const noise = SHUFFLED[0].map((v) => v * state.size), cells = [...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => [rows[i], "row " + i]), [noise, "noise"]];
    grid.replaceChildren(...cells.map(([x, name]) => el("figure", {}, picture(Array.from(x), name + ", original", { size: 60 }), picture(Array.from(forward(state.p, x, state.k, G(), HEAD()).h2), name + ", model", { size: 60 }),
      picture(Array.from(PCA.reconstruct(x.map((v) => v / state.size), state.k), (v) => v * state.size), name + ", PCA", { size: 60 }), name)));
    align();
  });
}
{
  const node = section("weights", "What the units look for", "How to read it: a square is one unit's row of W, blue where it likes ink, orange where it likes paper; the number is its value for the chosen row.");
  const grid = el("div", { class: "images", id: "unit-images" });
  node.append(grid);
  const align = even(grid);
  updates.push(() => {
    const h1 = forward(state.p, rows[state.row], state.k, G(), HEAD()).h1;
    grid.replaceChildren(...Array.from({ length: Math.min(state.k, 32) }, (_, l) => { const w = Array.from(state.p.W.subarray(l * D, (l + 1) * D)), most = Math.max(...w.map(Math.abs), 1e-12); return el("figure", {}, picture(w, "Weights of unit " + l, { size: 56, map: (v) => diverging(v / most) }), fmt(h1[l], 3)); }));
    align();
  });
}
reset(true);
refresh();
document.documentElement.dataset.ready = "yes";
