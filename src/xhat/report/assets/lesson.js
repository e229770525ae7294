// The lesson: state, training, the traced row, head and code size, PCA beside it.
const D = 64, RAW = (() => { const bytes = Uint8Array.from(atob(R.pixels.data), (c) => c.charCodeAt(0)); return Array.from({ length: R.rows }, (_, i) => Float64Array.from(bytes.subarray(i * D, (i + 1) * D), (v) => v / 16)); })();
const PCA = principal(RAW);
const state = { head: "logistic", g: "sigmoid", k: R.units, size: 1, row: R.traced, unit: 0, pixel: 11, adam: true, rate: 0.01, step: 0, seed: 1, fitted: true, history: [] };
let rows = RAW;
const G = () => ACTIVATIONS[state.g], HEAD = () => HEADS[state.head];
function reset(fitted) {
  state.fitted = fitted && state.k === R.units && state.g === "sigmoid" && state.size === 1;
  state.p = state.fitted ? Object.fromEntries(Object.entries(R.fitted[state.head].parameters).map(([n, v]) => [n, Float64Array.from(unpack(v))])) : startParameters(D, state.k, state.seed);
  state.m = zeros(state.p); state.v = zeros(state.p); state.step = 0; state.history = [];
  state.unit = Math.min(state.unit, state.k - 1);
  rows = RAW.map((x) => x.map((v) => v * state.size));
  I.high = state.size;
  measure();
}
/** Mean loss and mean squared error of all rows; a point of the curve. */
function measure() {
  let loss = 0, error = 0;
  for (const x of rows) { const t = forward(state.p, x, state.k, G(), HEAD()); loss += t.loss / rows.length; for (let j = 0; j < D; j++) error += (t.h2[j] - x[j]) ** 2 / rows.length; }
  state.loss = loss; state.error = error;
  state.history.push([state.step, error]);
}
/** 1: rebuilds rows whose pixels were shuffled between rows as well as real ones: it copies. */
const SHUFFLED = (() => { const next = random(7), out = RAW.slice(0, 60).map((x) => Float64Array.from(x)); for (let j = 0; j < D; j++) for (let i = out.length - 1; i > 0; i--) { const q = Math.floor(next() * (i + 1)); [out[i][j], out[q][j]] = [out[q][j], out[i][j]]; } return out; })();
function copying() {
  const noise = SHUFFLED.map((x) => x.map((v) => v * state.size)), mean = new Float64Array(D);
  for (const x of noise) for (let j = 0; j < D; j++) mean[j] += x[j] / noise.length;
  let error = 0, total = 0;
  for (const x of noise) { const t = forward(state.p, x, state.k, G(), HEAD()); for (let j = 0; j < D; j++) { error += (t.h2[j] - x[j]) ** 2; total += (x[j] - mean[j]) ** 2; } }
  return Math.max(0, 1 - error / total);
}
const unreachable = () => { const h = HEAD(); let sum = 0; for (const x of rows) for (const v of x) { const out = Math.max(0, v - h.high) + Math.max(0, h.low - v); sum += (out * out) / rows.length; } return sum; };

document.getElementById("top").append(
  el("div", { class: "brand" }, el("h1", {}, "An autoencoder, step by step"), el("button", { type: "button", onclick: () => setTheme(isDark() ? "light" : "dark") }, "Light / dark")),
  el("p", {}, "The textbook model h = g(W x + b), x\u0302 = f(W* h + c) on ", el("b", {}, `${R.rows} handwritten digits`), ` of 8 x 8 pixels. Everything below is computed in this page, in double precision; the opening weights were fitted by xhat ${R.version || R.header.version}.`));

const control = section("model", "The model", "How to use it: choose a code size and an output function, start from random weights, and train; every picture and number below follows.");
const updates = [];
const refresh = () => { updates.forEach((update) => update()); };
const again = (fitted) => { stop(); reset(fitted); refresh(); };
let timer = null;
function stop() { clearInterval(timer); timer = null; play.textContent = "Train"; play.setAttribute("aria-pressed", "false"); }
function steps(count) { for (let i = 0; i < count; i++) { const loss = trainStep(state, rows, G(), HEAD()); if (!Number.isFinite(loss)) { stop(); break; } } measure(); refresh(); }
const play = el("button", { type: "button", id: "play", "aria-pressed": "false", onclick: () => { if (timer) { stop(); return; } play.textContent = "Pause"; play.setAttribute("aria-pressed", "true"); timer = setInterval(() => steps(2), 40); } }, "Train");
const said = el("div", { class: "stats", id: "now" }), note = el("p", { class: "note", id: "range", hidden: true }), curve = el("div", { class: "plot" });
const headBox = select("Output f and loss", Object.entries(HEADS).map(([key, h]) => [key, h.name]), state.head, (v) => { state.head = v; again(true); });
const sizeBox = select("Pixels", [["1", "0 to 1"], ["16", "0 to 16 (raw)"]], "1", (v) => { state.size = +v; if (state.size > 1 && HEAD().cross) { state.head = "logistic-squared"; headBox.querySelector("select").value = state.head; } headBox.querySelector('option[value="logistic"]').disabled = state.size > 1; again(true); });
control.append(el("div", { class: "controls" },
  fill(select("Units of the code (k)", [1, 2, 4, 8, 16, 32, 64, 96].map((k) => [String(k), `${k}${k >= D ? " (overcomplete)" : ""}`]), "8", (v) => { state.k = +v; again(true); }), { id: "code-size" }, []),
  fill(headBox, { id: "head" }, []), fill(select("Activation g", [["sigmoid", "sigmoid (textbook)"], ["tanh", "tanh"], ["identity", "identity (PCA's kind)"]], "sigmoid", (v) => { state.g = v; again(true); }), { id: "activation" }, []),
  fill(sizeBox, { id: "pixels" }, [])),
  el("div", { class: "controls" }, el("button", { type: "button", id: "random", onclick: () => { state.seed += 1; again(false); } }, "Random weights"),
    el("button", { type: "button", id: "fitted", onclick: () => again(true) }, "Fitted by xhat (k = 8)"),
    fill(select("Steps by", [["adam", "Adam"], ["descent", "gradient descent"]], "adam", (v) => { state.adam = v === "adam"; }), { id: "optimizer" }, []),
    fill(select("Learning rate", ["0.001", "0.003", "0.01", "0.03", "0.1", "0.3"].map((v) => [v, v]), "0.01", (v) => { state.rate = +v; }), { id: "rate" }, []),
    el("button", { type: "button", id: "step", onclick: () => { stop(); steps(1); } }, "One step"), el("button", { type: "button", id: "steps", onclick: () => { stop(); steps(50); } }, "50 steps"), play),
  said, note, curve, el("p", { class: "how" }, "How to read it: the blue line is the model's squared error as it learns, the orange dashed line PCA's with as many units, the grey dotted line that of the mean. With a linear output straight after the code nothing gets below PCA (Bourlard and Kamp, 1988); a deeper decoder can."));
updates.push(() => {
  const s2 = state.size ** 2, stat = (name, value, key) => el("div", { class: "stat" }, el("b", { dataset: { value, key } }, fmt(value, 5)), el("span", {}, name));
  said.replaceChildren(stat("steps", state.step, "step"), stat("loss per row", state.loss, "loss"), stat("squared error per row", state.error, "error"),
    stat(`PCA's, ${Math.min(state.k, D)} units`, PCA.error(state.k) * s2, "pca"), stat("the mean's", PCA.error(0) * s2, "mean"), stat("copying score", copying(), "copying"));
  const floor = unreachable(), texts = [];
  if (floor > 0) texts.push(`The range problem: f = ${HEAD().name.split(",")[0]} cannot leave [${HEAD().low}, ${HEAD().high}], but pixels reach ${state.size}. Whatever the weights, ${fmt(floor, 5)} of the squared error stay. Use a linear f, or scale the pixels.`);
  if (state.k >= D) texts.push("Overcomplete: with as many units as pixels the code can copy. Train, and watch the copying score and the noise row below: a model that rebuilds noise has learnt nothing about digits.");
  note.hidden = !texts.length;
  note.textContent = texts.join(" ");
  note.dataset.floor = floor;
});
const drawCurve = responsive(curve, (width) => {
  const h = state.history, s2 = state.size ** 2, pca = PCA.error(state.k) * s2, mean = PCA.error(0) * s2, top = Math.max(mean, ...h.map((p) => p[1])), low = Math.max(Math.min(pca, ...h.map((p) => p[1])) * 0.8, top * 1e-4);
  const plot = frame(curve, width, 230, { x: { low: 0, high: Math.max(20, state.step) }, y: { low, high: top * 1.1, log: true }, xName: "steps", yName: "squared error (log scale)", label: `Squared error after ${state.step} steps: ${fmt(state.error)}; PCA ${fmt(pca)}.` });
  const level = (v, kind, text) => v >= low && plot.root.append(svg("line", { x1: plot.left, x2: plot.right, y1: plot.Y(v), y2: plot.Y(v), class: "s-" + kind, "stroke-width": 2, "stroke-dasharray": DASH[kind] }), svg("text", { x: plot.right - 4, y: plot.Y(v) - 5, "text-anchor": "end", class: "halo" }, text));
  level(pca, "pca", `PCA ${fmt(pca)}`); level(mean, "mean", `mean ${fmt(mean)}`);
  const every = Math.max(1, Math.floor(h.length / 400));
  plot.root.append(svg("polyline", { points: h.filter((_, i) => i % every === 0 || i === h.length - 1).map((p) => `${plot.X(p[0])},${plot.Y(Math.max(p[1], low))}`).join(" "), fill: "none", class: "s-xhat", "stroke-width": 2.5 }), marker("xhat", plot.X(h.at(-1)[0]), plot.Y(Math.max(h.at(-1)[1], low))));
});
updates.push(drawCurve);
