// The table of labels, up to 21,000 of them, and the groups that the vocabulary makes of them.
function labelsSection(mount) {
  const all = L.name.map((_, i) => i);
  let view = null;
  const of = (column) => (i) => L[column]?.[i] ?? null;
  const whole = (key) => !view.cut && Boolean(L[key]);
  const scale = () => shareScale(Math.max(...drawn().map((i) => view.interval(i)[1] ?? 0), 0.001));
  let currentScale = 1;
  const drawn = () =>
    view.labels.length ? view.labels : view.cut ? all.filter((i) => view.has(i)) : all.slice(0, 200);
  const columns = () =>
    [
      { key: "name", title: "Label", value: (i) => visible(L.name[i]), cell: labelCell },
      {
        key: "bar",
        title: "Bar",
        class: "bars",
        hidden: true,
        cell: (i) => bar(view.share(i), ...view.interval(i), currentScale),
      },
      {
        key: "share",
        title: "Share",
        number: true,
        value: (i) => view.share(i),
        cell: (i) => [share(view.share(i)), h("span", { class: "under", text: interval(...view.interval(i)) })],
      },
      {
        key: "interval",
        title: "95 % interval",
        number: true,
        class: "roomy",
        cell: (i) => interval(...view.interval(i)),
      },
      whole("corrected") && {
        key: "corrected",
        title: "Corrected",
        number: true,
        class: "roomy",
        hint: "Corrected for the model’s errors by a reviewed sample",
        value: of("corrected"),
        cell: (i) =>
          known(L.corrected[i])
            ? [
                share(L.corrected[i]),
                h("span", { class: "second", text: interval(L.corrected_low?.[i], L.corrected_high?.[i]) }),
              ]
            : "–",
      },
      whole("minutes_share") && {
        key: "minutes",
        title: "Of minutes",
        number: true,
        class: "roomy",
        hint: "Share of the video minutes",
        value: of("minutes_share"),
        cell: (i) =>
          known(L.minutes_share[i])
            ? [
                share(L.minutes_share[i]),
                h("span", {
                  class: "second",
                  text: known(L.minutes_low?.[i]) ? interval(L.minutes_low[i], L.minutes_high?.[i]) : "",
                }),
              ]
            : "–",
      },
      {
        key: "units",
        title: capital(UNIT.many),
        number: true,
        class: "roomy",
        value: (i) => view.units(i),
        cell: (i) => count(view.units(i)),
      },
      !view.cut && {
        key: "detections",
        title: "Detections",
        number: true,
        class: "roomy",
        value: of("detections"),
        cell: (i) => count(L.detections[i]),
      },
      !view.cut && {
        key: "score",
        title: "Score",
        hint: "Median score",
        number: true,
        class: "roomy",
        extra: true,
        value: of("score"),
        cell: (i) => score(L.score[i]),
      },
      {
        key: "threshold",
        title: "Threshold",
        number: true,
        extra: true,
        class: "roomy",
        value: of("threshold"),
        cell: (i) => score(L.threshold[i]),
      },
      !view.cut && {
        key: "size",
        title: "Size",
        hint: "Median share of the picture’s area",
        number: true,
        extra: true,
        class: "roomy",
        value: of("size"),
        cell: (i) => share(L.size[i]),
      },
      !view.cut && {
        key: "first",
        title: "First seen",
        extra: true,
        class: "roomy",
        value: of("first"),
        cell: (i) => day(L.first[i]),
      },
      !view.cut && {
        key: "last",
        title: "Last seen",
        extra: true,
        class: "roomy",
        value: of("last"),
        cell: (i) => day(L.last[i]),
      },
    ].filter(Boolean);

  let table = null;
  let shape = "";
  const notes = h("p", { class: "note" });
  return (next) => {
    view = next;
    currentScale = scale();
    const rows = view.labels.length
      ? [...view.labels]
      : view.cut && view.possible
        ? all.filter((i) => view.has(i))
        : all;
    const now = String(view.cut);
    if (!table || shape !== now) {
      shape = now;
      table = dataTable({
        id: "labels",
        columns: columns(),
        rows,
        start: "-share",
        pageSize: NARROW ? 15 : 25,
        search: NUM_LABELS > 20 ? { title: "Search labels", text: (i) => visible(L.name[i]) } : null,
        caption: (n) => `${plural(n, "label", "labels")}; bars from 0 to ${share(currentScale)}`,
      });
      mount.replaceChildren(table.root, notes);
    }
    table.restart(rows);
    const left = NUM_LABELS - all.filter((i) => view.has(i)).length;
    notes.textContent = [
      view.cut && view.possible && left
        ? `${plural(left, "rarer label is", "rarer labels are")} not kept by account and time, and not in this table.`
        : "",
      view.cut && view.possible
        ? "Detections, scores, sizes and corrected shares are known for the whole report only and are left out under this filter."
        : "",
    ]
      .filter(Boolean)
      .join(" ");
  };

  function labelCell(i) {
    const chosen = state.labels.includes(i);
    return h(
      "span",
      { class: "labelled" },
      swatch(i),
      h(
        "button",
        {
          type: "button",
          class: "link",
          "aria-pressed": String(chosen),
          title:
            visible(L.name[i]).length > 60
              ? visible(L.name[i])
              : chosen
                ? "Stop filtering by this label"
                : "Filter the report by this label",
          onclick: () => toggleLabel(i),
        },
        labelName(i),
      ),
      L.is_new[i] ? h("span", { class: "badge", text: "new" }) : null,
      L.is_rare[i] ? h("span", { class: "badge", text: "rare" }) : null,
    );
  }
}
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function parentsSection(mount) {
  if (!D.parents.length) return () => {};
  const scale = shareScale(Math.max(...D.parents.map((one) => one.high ?? one.share ?? 0), 0.001));
  const table = dataTable({
    id: "groups",
    rows: D.parents,
    start: "-share",
    caption: () =>
      `Groups of the vocabulary: ${UNIT.many} with at least one label of the group; bars from 0 to ${share(scale)}`,
    columns: [
      {
        key: "name",
        title: "Group",
        value: (one) => visible(one.name),
        cell: (one) => [name(one.name), h("span", { class: "under kept" }, listOf(one.labels ?? []))],
      },
      {
        key: "bar",
        title: "Bar",
        class: "bars",
        hidden: true,
        cell: (one) => bar(one.share, one.low, one.high, scale),
      },
      {
        key: "share",
        title: "Share",
        number: true,
        value: (one) => one.share,
        cell: (one) => [share(one.share), h("span", { class: "under", text: interval(one.low, one.high) })],
      },
      {
        key: "interval",
        title: "95 % interval",
        number: true,
        class: "roomy",
        cell: (one) => interval(one.low, one.high),
      },
      {
        key: "units",
        title: capital(UNIT.many),
        number: true,
        class: "roomy",
        value: (one) => one.units,
        cell: (one) => count(one.units),
      },
      {
        key: "detections",
        title: "Detections",
        number: true,
        class: "roomy",
        value: (one) => one.detections,
        cell: (one) => count(one.detections),
      },
    ],
  });
  const note = h("p", { class: "note" });
  mount.append(h("h3", { text: "Groups" }), table.root, note);
  return (view) => {
    const chosen = new Set(view.labels);
    table.update(D.parents.filter((one) => !chosen.size || (one.labels ?? []).some((i) => chosen.has(i))));
    note.textContent = view.cut
      ? "Groups are of the whole report: they cannot be recomputed for accounts or time."
      : "";
  };
}
// Some names in one line: what is in a group, a post, a cell.
function listOf(labels, most = 6) {
  const parts = labels.slice(0, most).flatMap((i, k) => [k ? ", " : "", labelName(i, 24)]);
  return labels.length > most ? [...parts, ` and ${labels.length - most} more`] : parts;
}
