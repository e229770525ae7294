// The textbook model: h = g(W x + b), x_hat = f(W* h + c), its loss and its gradients, in double
// precision. Names and equation numbers are those of docs/maths.md.
const sigmoid = (a) => 1 / (1 + Math.exp(-a));
const ACTIVATIONS = {
  sigmoid: { g: sigmoid, slope: (a, h) => h * (1 - h) }, // (5)
  tanh: { g: Math.tanh, slope: (a, h) => 1 - h * h },
  identity: { g: (a) => a, slope: () => 1 },
};
const HEADS = {
  logistic: { name: "logistic, cross-entropy", f: sigmoid, slope: (a, y) => y * (1 - y), low: 0, high: 1, cross: true },
  "logistic-squared": { name: "logistic, squared error", f: sigmoid, slope: (a, y) => y * (1 - y), low: 0, high: 1 },
  tanh: { name: "tanh, squared error", f: Math.tanh, slope: (a, y) => 1 - y * y, low: -1, high: 1 },
  linear: { name: "linear, squared error", f: (a) => a, slope: () => 1, low: -Infinity, high: Infinity },
};
/** Loss of a cell from the pre-activation: (7), (9). */
function cellLoss(head, a, y, x) {
  if (head.cross) return Math.max(a, 0) - x * a + Math.log1p(Math.exp(-Math.abs(a)));
  return (y - x) * (y - x);
}
/** dL/da2 of a cell: (14), (16). */
const cellGrad = (head, a, y, x) => (head.cross ? y - x : 2 * (y - x) * head.slope(a, y));

function random(seed) { // mulberry32: small, and the same in every browser
  let s = seed >>> 0;
  return () => { s = (s + 0x6d2b79f5) | 0; let t = Math.imul(s ^ (s >>> 15), 1 | s); t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t; return ((t ^ (t >>> 14)) >>> 0) / 4294967296; };
}
function startParameters(d, k, seed) {
  const next = random(seed), limit = Math.sqrt(6 / (d + k)), draw = (n) => Float64Array.from({ length: n }, () => (2 * next() - 1) * limit);
  return { W: draw(k * d), b: new Float64Array(k), Ws: draw(d * k), c: new Float64Array(d) };
}
/** x -> a1 -> h1 -> a2 -> h2 = x_hat for one row: (1) to (4). */
function forward(p, x, k, g, head) {
  const d = x.length, a1 = new Float64Array(k), h1 = new Float64Array(k), a2 = new Float64Array(d), h2 = new Float64Array(d);
  for (let l = 0; l < k; l++) { let sum = p.b[l]; for (let i = 0; i < d; i++) sum += p.W[l * d + i] * x[i]; a1[l] = sum; h1[l] = g.g(sum); }
  for (let j = 0; j < d; j++) { let sum = p.c[j]; for (let l = 0; l < k; l++) sum += p.Ws[j * k + l] * h1[l]; a2[j] = sum; h2[j] = head.f(sum); }
  let loss = 0;
  for (let j = 0; j < d; j++) loss += cellLoss(head, a2[j], h2[j], x[j]);
  return { x, a1, h1, a2, h2, loss };
}
/** Add the row's gradients to those in `out`, times `scale`: (17) to (22). */
function backward(p, t, k, g, head, out, scale) {
  const d = t.x.length, dh1 = new Float64Array(k);
  for (let j = 0; j < d; j++) {
    const da2 = cellGrad(head, t.a2[j], t.h2[j], t.x[j]) * scale;
    out.c[j] += da2;
    for (let l = 0; l < k; l++) { out.Ws[j * k + l] += da2 * t.h1[l]; dh1[l] += da2 * p.Ws[j * k + l]; }
  }
  for (let l = 0; l < k; l++) {
    const da1 = dh1[l] * g.slope(t.a1[l], t.h1[l]);
    out.b[l] += da1;
    for (let i = 0; i < d; i++) out.W[l * d + i] += da1 * t.x[i];
  }
}
const zeros = (p) => Object.fromEntries(Object.entries(p).map(([name, v]) => [name, new Float64Array(v.length)]));
/** Every quantity of one row under the names of ae.trace(x): both chains, factor by factor. */
function traceRow(p, x, k, g, head) {
  const t = forward(p, x, k, g, head), d = x.length, out = zeros(p), dh1 = new Float64Array(k);
  backward(p, t, k, g, head, out, 1);
  const da2 = t.a2.map((a, j) => cellGrad(head, a, t.h2[j], x[j]));
  for (let j = 0; j < d; j++) for (let l = 0; l < k; l++) dh1[l] += da2[j] * p.Ws[j * k + l];
  const slope = t.a1.map((a, l) => g.slope(a, t.h1[l]));
  const ratio = (n, m) => (n > 0 ? n / m : 0);
  return {
    x, a1: t.a1, h1: t.h1, a2: t.a2, h2: t.h2, loss: Float64Array.of(t.loss),
    "dL/dh2": t.h2.map((y, j) => (head.cross ? ratio(1 - x[j], 1 - y) - ratio(x[j], y) : 2 * (y - x[j]))),
    "dh2/da2": t.a2.map((a, j) => head.slope(a, t.h2[j])),
    "dL/da2": da2, "da2/dW*": t.h1, "da2/dh1": p.Ws, "dL/dh1": dh1, "dh1/da1": slope, "dL/da1": dh1.map((v, l) => v * slope[l]), "da1/dW": x,
    "dL/dW": out.W, "dL/db": out.b, "dL/dW_star": out.Ws, "dL/dc": out.c,
  };
}
/** One step of full-batch gradient descent, or of Adam. Returns the mean loss before the step. */
function trainStep(state, rows, g, head) {
  const grad = zeros(state.p);
  let loss = 0;
  for (const x of rows) { const t = forward(state.p, x, state.k, g, head); loss += t.loss / rows.length; backward(state.p, t, state.k, g, head, grad, 1 / rows.length); }
  state.step += 1;
  for (const name of Object.keys(grad)) {
    const theta = state.p[name], G = grad[name], m = state.m[name], v = state.v[name];
    for (let i = 0; i < G.length; i++) {
      if (state.adam) {
        m[i] += 0.1 * (G[i] - m[i]); v[i] += 0.001 * (G[i] * G[i] - v[i]);
        theta[i] -= (state.rate * (m[i] / (1 - 0.9 ** state.step))) / (Math.sqrt(v[i] / (1 - 0.999 ** state.step)) + 1e-8);
      } else theta[i] -= state.rate * G[i];
    }
  }
  return loss;
}
