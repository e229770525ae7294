// Section 10: sliders for the units; the decoder runs here. Section 11: settings.
{
  const W = R.walk, k = W.middle.length, columns = W.columns, starts = [], shown = columns.length === R.columns.length ? R.columns : [];
  const node = section("walk", "Walk the code",
    `How to read it: move one slider at a time and watch which ${I ? "pixels" : "columns"} follow it; those are what the unit stands for.${shown.length ? " The dashed mark is where the reconstruction started." : ""}`);
  columns.reduce((at, c) => { starts.push(at); return at + c.width; }, 0);
  const G = { sigmoid: (a) => 1 / (1 + Math.exp(-a)), tanh: Math.tanh, relu: (a) => Math.max(a, 0), silu: (a) => a / (1 + Math.exp(-a)), identity: (a) => a };
  const layers = W.mode === "weights" ? W.layers.map((l) => ({ W: unpack(l.W), c: unpack(l.c) })) : null, Q = W.Q ? unpack(W.Q) : null;
  const apply = (M, x, out) => { const d = x.length; for (let i = 0; i < out.length; i++) { let sum = out[i]; for (let j = 0; j < d; j++) sum += M[i * d + j] * x[j]; out[i] = sum; } return out; };
  /** x_hat = f(W* h + c) with the hidden layers between, in the table's units. */
  function decode(h) {
    let below = Float64Array.from(h);
    layers.forEach((layer, at) => {
      const a = apply(layer.W, below, Float64Array.from(layer.c));
      if (at === layers.length - 1) { if (Q) apply(Q, Float64Array.from(h), a); below = a; } else below = a.map(G[W.activation]);
    });
    return columns.map((c, j) => {
      const a = below.subarray(starts[j], starts[j] + c.width);
      if (c.f === "softmax") {
        const top = Math.max(...a), e = Array.from(a, (v) => Math.exp(v - top)), sum = e.reduce((p, v) => p + v, 0), best = a.indexOf(top);
        return { value: best, text: `${c.places[best]} (${percent(e[best] / sum, 0)})`, share: e[best] / sum };
      }
      let z = a[0];
      if (c.f === "logistic") z = 1 / (1 + Math.exp(-z));
      else if (c.f === "tanh") z = Math.tanh(z);
      else if (c.f === "exp") z = Math.exp(Math.min(z, c.limit)) * (1 + Math.max(z - c.limit, 0));
      const value = z * c.spread + c.center;
      return { value, text: shown.length ? cell(R.columns[j] || {}, value, true) : fmt(value) };
    });
  }
  const curves = W.mode === "curves" ? unpack(W.curves) : null;
  function along(u, h) {
    const t = ((h[u] - W.low[u]) / (W.high[u] - W.low[u])) * (W.steps - 1), i = Math.max(0, Math.min(W.steps - 2, Math.floor(t))), f = t - i, c = columns.length;
    return columns.map((_, j) => {
      const a = curves[(u * W.steps + i) * c + j], b = curves[(u * W.steps + i + 1) * c + j], level = columns[j].f === "softmax";
      const value = level ? (f < 0.5 ? a : b) : a + f * (b - a);
      return { value, text: shown.length ? cell(R.columns[j] || {}, value, true) : fmt(value) };
    });
  }
  const movable = W.mode === "weights" ? k : W.curves.shape[0];
  const h = [...W.middle];
  let last = 0, base = null;
  const lines = el("div", { class: "rows", id: "walk-rows" }), image = el("div", { class: "images" }), inputs = [], outputs = [];
  const now = () => (W.mode === "weights" ? decode(h) : along(last, h));
  function update() {
    const result = now();
    base = base || result;
    window.xhatWalk = { code: [...h], values: result.map((r) => r.value) };
    if (I) image.replaceChildren(
      el("figure", {}, picture(base.map((r) => r.value), "Image at the start", { size: 150 }), "at the start"),
      el("figure", {}, picture(result.map((r) => r.value), "Image of the code", { size: 150 }), "now"));
    if (!shown.length) return;
    lines.replaceChildren(...shown.map((column, j) => {
      const low = Math.min(column.low, base[j].value), high = Math.max(column.high, base[j].value), x = (v) => Math.max(0, Math.min(100, 3 + (94 * (v - low)) / (high - low || 1)));
      const level = column.form === "level", track = svg("svg", { viewBox: "0 0 100 18", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("line", { x1: 0, x2: 100, y1: 9, y2: 9, class: "axis" }));
      const stroke = (at, cls, dash) => svg("line", { x1: at, x2: at, y1: 2, y2: 16, class: cls, "stroke-width": 3, "stroke-dasharray": dash, "vector-effect": "non-scaling-stroke" });
      if (level) track.append(svg("rect", { x: 3, y: 4, width: 94 * (result[j].share ?? 1), height: 10, class: "f-xhat" }));
      else track.append(svg("line", { x1: x(base[j].value), x2: x(result[j].value), y1: 9, y2: 9, class: "s-xhat", "stroke-width": 3, "vector-effect": "non-scaling-stroke" }), stroke(x(base[j].value), "s-ink", "2 2"), stroke(x(result[j].value), "s-xhat"));
      const moved = level ? result[j].value !== base[j].value : Math.abs(result[j].value - base[j].value) > 0.05 * (high - low);
      return el("div", { class: moved ? "row moved" : "row" }, el("span", { class: "name", title: column.name }, column.name), track, el("span", { class: "val", title: result[j].text, dataset: { value: result[j].value } }, result[j].text));
    }));
  }
  const sync = () => inputs.forEach((input, u) => { input.value = h[u]; outputs[u].textContent = fmt(h[u], 3); input.setAttribute("aria-valuetext", fmt(h[u], 3)); });
  const sliders = el("div", { class: "sliders", id: "sliders" });
  for (let u = 0; u < movable; u++) {
    const id = "unit-" + u, low = Math.min(W.low[u], W.middle[u]), high = Math.max(W.high[u], W.middle[u]);
    const input = el("input", { type: "range", id, min: low, max: high, step: "any", value: h[u], oninput: () => {
      if (W.mode === "curves") h.splice(0, k, ...W.middle);
      h[u] = +input.value; last = u; sync(); update();
    }, onkeydown: (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
      if (!step) return;
      event.preventDefault();
      input.value = Math.max(low, Math.min(high, +input.value + (step * (high - low)) / 50));
      input.dispatchEvent(new Event("input"));
    } });
    inputs.push(input);
    outputs.push(el("output", { for: id }));
    sliders.append(el("div", { class: "slider" }, el("label", { for: id }, "code" + u), input, outputs[u]));
  }
  const start = (code) => { h.splice(0, k, ...code); base = null; sync(); update(); };
  const from = [["-1", "the middle of all codes"], ...R.originals.rows.map((row, i) => [String(i), "row " + row])];
  if (W.mode === "weights") node.append(el("div", { class: "controls" }, fill(select("Start from", from, "-1", (v) => start(+v < 0 ? W.middle : R.originals.codes[+v])), { id: "walk-start" }, []),
    el("button", { type: "button", onclick: () => start([...W.middle]) }, "Back to the middle")));
  node.append(el("div", { class: "split" }, el("div", { class: "stay" }, sliders), el("div", { "aria-live": "off" }, I ? image : null, lines)),
    el("p", { class: "how" }, W.mode === "weights" ? `The decoder's ${count(W.size)} weights are in this page (${W.single ? "single precision" : "half precision: about three digits"}).`
      : "The decoder is too large for this page: curves computed beforehand, one unit at a time, the others at their medians."));
  sync();
  update();
}
{
  const S = R.settings, node = section("settings", "Settings", "What was asked for, what every \"auto\" became and why, and where it ran.");
  const list = (title, values, id) => el("div", {}, el("h3", {}, title), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
    el("table", { id }, el("caption", { class: "unseen" }, title), el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "name"), el("th", { scope: "col" }, "value"))),
      el("tbody", {}, Object.entries(values).map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)))))));
  node.append(el("div", { class: "grid" }, list("Parameters", S.parameters, "parameters"), list("What \"auto\" became", S.choices, "choices"), list("Environment", S.environment, "environment")));
}
document.documentElement.dataset.ready = "yes";
