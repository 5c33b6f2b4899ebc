// Two sides next to each other, and labels that are seen together.
const VERDICTS = { rose: "▲ rose", fell: "▼ fell" };

function comparisonSection(mount) {
  const { a, b, rows } = D.compare;
  const widest = Math.max(
    0.001,
    ...rows.map((row) => Math.max(Math.abs(row.low ?? row.difference ?? 0), Math.abs(row.high ?? row.difference ?? 0))),
  );
  const clear = (row) => row.verdict === "rose" || row.verdict === "fell";
  const note = h("p", { class: "note" });
  const counts = ["rose", "fell"].map((verdict) => rows.filter((row) => row.verdict === verdict).length);
  const table = dataTable({
    id: "comparison",
    rows,
    start: "-change",
    pageSize: NARROW ? 10 : 20,
    search: rows.length > 20 ? { title: "Search labels", text: (row) => visible(L.name[row.label]) } : null,
    caption: () =>
      `${plural(counts[0], "label", "labels")} rose, ${count(counts[1])} fell, ${count(rows.length - counts[0] - counts[1])} show no clear change; changes in points, bars from −${(100 * widest).toFixed(1)} to +${(100 * widest).toFixed(1)}`,
    columns: [
      {
        key: "name",
        title: "Label",
        value: (row) => visible(L.name[row.label]),
        cell: (row) => h("span", { class: "labelled" }, swatch(row.label), labelName(row.label, 40)),
      },
      {
        key: "a",
        title: shortened(visible(a?.name), 22),
        number: true,
        class: "roomy",
        value: (row) => row.a,
        cell: (row) => share(row.a),
      },
      {
        key: "b",
        title: shortened(visible(b?.name), 22),
        number: true,
        class: "roomy",
        value: (row) => row.b,
        cell: (row) => share(row.b),
      },
      { key: "bar", title: "Bar", hidden: true, class: "bars", cell: (row) => changeBar(row, widest) },
      {
        key: "change",
        title: "Change",
        number: true,
        hint: "In points; sorted clear changes first",
        value: (row) => (known(row.difference) ? Math.abs(row.difference) + (clear(row) ? 10 : 0) : null),
        cell: (row) => points(row.difference),
      },
      {
        key: "interval",
        title: "95 % interval",
        number: true,
        class: "roomy",
        cell: (row) => (known(row.low) ? `${points(row.low)} to ${points(row.high)}` : "–"),
      },
      {
        key: "verdict",
        title: "Verdict",
        value: (row) => row.verdict,
        cell: (row) =>
          h("span", {
            class: clear(row) ? "verdict" : "soft",
            text: VERDICTS[row.verdict] ?? visible(row.verdict ?? "–"),
          }),
      },
      {
        key: "q",
        title: "q",
        number: true,
        extra: true,
        class: "roomy",
        hint: "p value adjusted for the number of labels (Benjamini and Hochberg)",
        value: (row) => row.q,
        cell: (row) => pValue(row.q),
      },
      {
        key: "p",
        title: "p",
        number: true,
        extra: true,
        class: "roomy",
        value: (row) => row.p,
        cell: (row) => pValue(row.p),
      },
    ],
  });
  mount.append(table.root, note);
  return (view) => {
    const chosen = new Set(view.labels);
    table.update(rows.filter((row) => !chosen.size || chosen.has(row.label)));
    note.textContent = view.cut
      ? "The comparison is of the whole report: it cannot be recomputed for accounts or time."
      : "";
  };
}
const pValue = (p) => (known(p) ? (p < 0.001 ? "< 0.001" : p.toFixed(3)) : "–");
function changeBar(row, widest) {
  const at = (v) => 50 + (50 * (v ?? 0)) / widest;
  const [from, to] = [Math.min(50, at(row.difference)), Math.max(50, at(row.difference))];
  return s(
    "svg",
    { class: "bar", "aria-hidden": "true", focusable: "false" },
    s("line", { class: "grid", x1: "50%", x2: "50%", y1: 0, y2: 18 }),
    s("rect", { class: "fill", x: `${from.toFixed(2)}%`, width: `${(to - from).toFixed(2)}%`, y: 4, height: 10 }),
    known(row.low)
      ? s("line", {
          class: "whisker",
          y1: 9,
          y2: 9,
          x1: `${at(row.low).toFixed(2)}%`,
          x2: `${at(row.high).toFixed(2)}%`,
        })
      : null,
  );
}

function togetherSection(mount) {
  const { labels, counts } = D.pairs;
  const all = D.totals.units;
  const note = h("p", { class: "note" });
  const map = h("div", {
    class: "scroll",
    tabindex: 0,
    role: "group",
    "aria-label": "Heat map of labels seen together",
  });
  const lists = h("div");
  mount.append(
    h(
      "div",
      { class: "pairing" },
      h(
        "div",
        {},
        map,
        h("p", {
          class: "note",
          text: `Numbers: of the ${UNIT.many} with the label on the left, the per cent that also hold the label above.`,
        }),
      ),
      lists,
    ),
    note,
  );
  return (view) => {
    const chosen = view.labels.filter((i) => labels.includes(i));
    const kept = labels.map((_, k) => k).filter((k) => chosen.length < 2 || chosen.includes(labels[k]));
    const of = (a, b) => counts[kept[a]]?.[kept[b]] ?? 0;
    const part = (a, b) => (of(a, a) ? Math.min(1, of(a, b) / of(a, a)) : 0);
    const pairs = pairsOf(kept, labels, counts, all).filter(
      (one) => chosen.length !== 1 || one.a === chosen[0] || one.b === chosen[0],
    );
    map.replaceChildren(
      heatMap({
        labels: kept.map((k) => labels[k]),
        title: "Labels seen together",
        value: part,
        desc: `Of the ${UNIT.many} with the label of a row, the per cent that also hold the label of a column.${pairs[0] ? ` Most often together: ${plainLabel(pairs[0].a)} and ${plainLabel(pairs[0].b)}.` : ""}`,
        write: (a, b) => (a === b || !of(a, b) ? "" : `${Math.round(100 * part(a, b))}`),
        describe: (a, b) => [
          h("b", {}, labelName(labels[kept[a]], 40)),
          a === b
            ? units(of(a, a))
            : h("span", {}, `${share(part(a, b))} of them also hold `, labelName(labels[kept[b]], 40)),
          a === b ? "" : h("span", { text: `${count(of(a, b))} of ${units(of(a, a))}` }),
        ],
      }),
    );
    lists.replaceChildren(pairTable(pairs));
    note.textContent = view.cut ? "Of the whole report: pairs are not kept by account and time." : "";
  };
}
function pairsOf(kept, labels, counts, all) {
  const pairs = [];
  kept.forEach((a, k) =>
    kept.slice(k + 1).forEach((b) => {
      const both = counts[a]?.[b] ?? 0;
      const expected = all ? (counts[a][a] * counts[b][b]) / all : 0;
      if (both) pairs.push({ a: labels[a], b: labels[b], both, times: expected ? both / expected : null });
    }),
  );
  return pairs.sort((one, other) => other.both - one.both);
}
function pairTable(pairs) {
  const table = dataTable({
    id: "pairs",
    rows: pairs,
    start: "-both",
    pageSize: 10,
    headers: 2,
    caption: (n) => `${plural(n, "pair", "pairs")} of labels seen in one ${UNIT.one}`,
    columns: [
      { key: "a", title: "Label", value: (one) => visible(L.name[one.a]), cell: (one) => labelName(one.a, 36) },
      { key: "b", title: "And", value: (one) => visible(L.name[one.b]), cell: (one) => labelName(one.b, 36) },
      {
        key: "both",
        title: `${capital(UNIT.many)} with both`,
        number: true,
        value: (one) => one.both,
        cell: (one) => count(one.both),
      },
      {
        key: "times",
        title: "Times chance",
        hint: "1: as often as if the two had nothing to do with each other",
        number: true,
        value: (one) => one.times,
        cell: (one) => (known(one.times) ? `${one.times.toFixed(1)} ×` : "–"),
      },
    ],
  });
  table.update();
  return table.root;
}
