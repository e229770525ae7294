// Tables that sort by any column, with keyboard and screen readers in mind.
/** columns: [{name, key(row), show(row), number, className}]; onpick(row) makes rows choosable. */
function sortable({ columns, rows, caption, onpick, id }) {
  let order = null, down = true;
  const body = el("tbody"), heads = [];
  const draw = () => {
    const sorted = [...rows];
    if (order !== null) {
      const key = columns[order].key, sign = down ? -1 : 1;
      sorted.sort((a, b) => {
        const x = key(a), y = key(b);
        if (x === null || x === undefined) return 1;
        if (y === null || y === undefined) return -1;
        return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
      });
    }
    body.replaceChildren(...sorted.map((row) => {
      const pick = onpick && (() => {
        body.querySelectorAll("tr").forEach((tr) => tr.setAttribute("aria-selected", "false"));
        line.setAttribute("aria-selected", "true");
        onpick(row);
      });
      const line = el("tr", onpick ? { class: "pick", tabindex: 0, "aria-selected": "false", onclick: pick, onkeydown: (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(); }
        const next = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
        if (next && line[next]) { event.preventDefault(); line[next].focus(); line[next].click(); }
      } } : {});
      for (const c of columns) {
        const shown = c.show ? c.show(row) : c.key(row), key = c.key(row);
        line.append(el("td", { class: [c.number && "n", c.className].filter(Boolean).join(" ") || null, dataset: c.number && key !== null ? { value: key } : {} }, shown));
      }
      return line;
    }));
    fit();
    heads.forEach((th, i) => {
      th.setAttribute("aria-sort", i !== order ? "none" : down ? "descending" : "ascending");
      th.querySelector(".arrow").textContent = i !== order ? "" : down ? " \u25be" : " \u25b4";
    });
  };
  columns.forEach((c, i) => heads.push(el("th", { scope: "col", class: c.number ? "n" : null, "aria-sort": "none" },
    el("button", { type: "button", onclick: () => { down = order === i ? !down : !!c.number; order = i; draw(); } }, c.name, el("span", { class: "arrow", "aria-hidden": "true" })))));
  const box = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption, id },
    el("table", {}, el("caption", {}, caption + " Click a heading to sort."), el("thead", {}, el("tr", {}, heads)), body));
  /** What is seen of a long table ends with a whole row. */
  const fit = responsive(box, () => {
    const ends = [...body.rows].map((tr) => tr.offsetTop + tr.offsetHeight).filter((end) => end <= 458);
    box.style.setProperty("--fit", box.scrollHeight > 460 && ends.length ? ends.at(-1) + box.offsetHeight - box.clientHeight + "px" : "460px");
  });
  draw();
  return box;
}
/** The numbers of a picture as a table, folded away. */
function numbers(title, head, rows) {
  return el("details", {}, el("summary", {}, "The numbers as a table"), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
    el("table", {}, el("caption", {}, title), el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col", class: "n" }, h)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((v) => el("td", { class: "n", dataset: typeof v === "number" ? { value: v } : {} }, typeof v === "number" ? fmt(v, 6) : v))))))));
}
