// Section 9: what each unit of the code stands for.
{
  const U = R.units, images = I ? I.units.shape[0] : 0, barred = `bars show the ${U.meaning}, the largest first`;
  const drawn = !images ? barred : `picture shows the ${U.meaning}` + (images < U.units.length ? ` (from code${images} on bars do, the largest first)` : "");
  const node = section("units", "Units",
    `How to read it: a card is one unit; its ${drawn}: blue up, orange down. The histogram counts the sampled rows by their value of the unit; a unit with one bar there says nothing.`);
  const cards = el("div", { class: "cards", id: "unit-cards" });
  const histogram = (unit, u) => spark(unit.counts, `Histogram of unit ${u} from ${fmt(unit.edges[0])} to ${fmt(unit.edges[1])}`);
  U.units.forEach((unit, u) => {
    const order = unit.weights.map((w, j) => [w ?? 0, j]).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, 6), top = Math.abs(order[0]?.[0]) || 1;
    const card = el("div", { class: "card", dataset: { unit: u } }, el("h3", {}, "code" + u));
    if (u < images) {
      const w = slice(I.units, u), most = Math.max(...w.map(Math.abs)) || 1;
      card.append(el("div", { class: "side" }, picture(w, `Weights of unit ${u}: blue up, orange down`, { size: 96, map: (v) => diverging(v / most) }), histogram(unit, u)));
    } else card.append(el("div", { class: "rows" }, order.map(([w, j]) => el("div", { class: "row" },
      el("span", { class: "name", title: R.columns[j].name }, R.columns[j].name),
      svg("svg", { viewBox: "-50 0 100 18", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("line", { x1: 0, x2: 0, y1: 0, y2: 18, class: "axis", "vector-effect": "non-scaling-stroke" }),
        svg("rect", { x: Math.min(0, (50 * w) / top), width: Math.max(0.6, Math.abs((50 * w) / top)), y: 3, height: 12, class: w < 0 ? "f-pca" : "f-xhat" })),
      el("span", { class: "val", dataset: { value: w } }, fmt(w, 3))))));
    card.append(u < images ? "" : histogram(unit, u), el("div", { class: "how" }, `${fmt(unit.edges[0], 3)} to ${fmt(unit.edges[1], 3)}, mean ${fmt(unit.mean, 3)}, spread ${fmt(unit.std, 3)}; highest in rows ${unit.top.map((t) => t[0]).join(", ")}`));
    cards.append(card);
  });
  node.append(cards);
}
