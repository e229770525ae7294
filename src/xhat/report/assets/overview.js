// Sections 1 to 4: header, verdict, losses, code size.
{
  const h = R.header, root = document.documentElement;
  const kinds = Object.entries(h.kinds).map(([kind, n]) => `${n} ${kind}`).join(", ");
  const fact = (name, value) => el("li", {}, name + " ", el("b", {}, value));
  fill(document.getElementById("top"), {}, [
    el("div", { class: "brand" }, el("h1", {}, h.name),
      el("button", { type: "button", id: "theme", title: "Switch between light and dark", onclick: () => {
        const dark = root.dataset.theme === "dark" || (root.dataset.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
        setTheme(dark ? "light" : "dark");
      } }, "Light / dark")),
    el("ul", { class: "facts" },
      fact("rows", count(h.rows)), fact("columns", `${count(h.columns)} (${kinds})`), fact("units of the code", h.units),
      fact("hidden layers", h.hidden.length ? h.hidden.join(", ") : "none"), fact("seed", h.seed), fact("xhat", h.version), fact("made", h.made)),
    h.left_out.length ? el("p", { class: "how" }, "Left out: " + h.left_out.join(", ")) : null,
    el("details", {}, el("summary", {}, "The command that makes this page"), el("pre", { id: "command" }, h.command))]);
}
{
  const v = R.verdict, node = section("verdict", "Verdict");
  const stat = (name, value, kind) => el("div", { class: "stat" }, el("b", { dataset: { value, kind } }, fmt(value, 5)), el("span", {}, name));
  node.append(el("p", { class: "verdict" }, v.sentence),
    el("div", { class: "stats" }, stat("loss of the mean", v.mean, "mean"), stat(`loss of PCA, ${v.n_components} units`, v.pca, "pca"),
      stat(`loss of xhat, ${v.n_components} units`, v.xhat, "xhat"), stat("xhat / PCA", v.ratio, "ratio")),
    el("p", { class: "how" }, `How to read it: lower is better, and a ratio of 1 means that PCA is as good. Loss per row, summed over its columns: ${v.unit}.`));
  if (R.cuts.length) node.append(el("details", { class: "note" }, el("summary", {}, R.cuts.length === 1 ? "One limit keeps this page small" : `${R.cuts.length} limits keep this page small`),
    el("ul", {}, R.cuts.map((c) => el("li", {}, c.what + "; more with ", el("code", {}, c.how))))));
}
{
  const l = R.losses, node = section("loss", "Loss curves", "How to read it: " + l.how);
  if (l.train.length || l.held_out.length > 1) {
    const series = l.train.length ? [{ kind: "xhat", name: "training rows", points: l.train }] : [];
    if (l.held_out.length) series.push({ kind: "pca", name: l.held_out_rows, points: l.held_out });
    lineChart(node, { series, xName: "epoch", yName: "loss per row", unit: "epoch", label: `Training and held-out loss over ${l.epochs} epochs; ${l.mark}.`,
      marks: [{ x: l.best_epoch, text: l.mark }] });
    const held = new Map(l.held_out), train = new Map(l.train);
    node.append(numbers("Loss per epoch", ["epoch", "training", "held-out"], [...new Set([...held.keys(), ...train.keys()])].sort((a, b) => a - b).map((e) => [e, train.get(e) ?? "", held.get(e) ?? ""])));
  } else node.append(el("p", {}, "No epoch was run or kept: there is no curve to draw."));
}
{
  const s = R.sweep, node = section("sweep", "Code size",
    "How to read it: the further xhat's line lies below PCA's, the more the bends of the network buy; where a line goes flat, more units no longer pay.");
  if (s.k) {
    const line = (kind, name, ys) => ({ kind, name, dots: true, points: s.k.map((k, i) => [k, ys[i]]) });
    lineChart(node, { series: [line("xhat", "xhat", s.xhat), line("pca", "PCA", s.pca)], xName: "units of the code", yName: "held-out loss per row",
      xTicks: s.k, xLog: s.k.length > 3, unit: "units", label: "Held-out loss of xhat and PCA over code sizes.", marks: [{ x: s.recommended, text: `suggested: ${s.recommended}` }] });
    node.append(el("p", { id: "suggestion" }, "Suggested: " + s.reason), el("p", { class: "how" }, `Losses ${s.rows}; loss: ${s.unit}.`),
      numbers("Held-out loss by code size", ["units", "xhat", "PCA"], s.k.map((k, i) => [k, s.xhat[i], s.pca[i]])));
  } else node.append(el("p", { class: "note" }, `Left out (${s.left_out}). To compute it on at most 20,000 rows:`), el("pre", {}, [s.shell, s.command].filter(Boolean).join("\n")));
}
