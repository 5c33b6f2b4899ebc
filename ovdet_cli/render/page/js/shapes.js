// How sure, where and how large: three small charts a label. And the thresholds that the scores suggest.
const SIZES = ["under 1 %", "1 to 4 %", "4 to 16 %", "16 to 50 %", "over 50 %"];
const FIELDS = ["top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right"];

function placesSection(mount) {
  const options = { shown: NARROW ? 2 : 6 };
  const cards = h("div", { class: "cards shapes" });
  const foot = h("div");
  const note = h("p", { class: "note" });
  mount.append(cards, foot, note);
  const detailed = Object.keys(D.details)
    .map(Number)
    .sort((a, b) => a - b)
    .filter((i) => i < NUM_LABELS && (D.details[i].scores || D.details[i].place || D.details[i].sizes));
  let view = null;
  function draw() {
    const labels = view.labels.length ? view.labels.filter((i) => detailed.includes(i)) : detailed;
    const some = labels.slice(0, options.shown);
    cards.replaceChildren(...some.map(shapeCard));
    if (!some.length) cards.append(h("p", { class: "note", text: "Not kept for the labels of this filter." }));
    const left = labels.length - some.length;
    foot.replaceChildren(
      left > 0
        ? button(moreOf(6, left), () => {
            options.shown += 6;
            draw();
          })
        : "",
      some.length ? disclosure("These figures as a table", () => shapesTable(some)) : "",
    );
    note.textContent = view.cut ? "Of the whole report: not kept by account and time." : "";
  }
  return (next) => {
    view = next;
    options.shown = NARROW ? 2 : 6;
    draw();
  };
}
const total = (counts) => counts.reduce((a, b) => a + b, 0);
const mostOf = (counts, names) => `mostly ${names[counts.indexOf(Math.max(...counts))]}`;

function shapeCard(i) {
  const { scores, place, sizes } = D.details[i];
  const plain = plainLabel(i);
  const part = (title, what, drawn) =>
    h("div", {}, h("h4", {}, title, h("span", { class: "aside", text: what })), drawn);
  return h(
    "figure",
    { class: "card" },
    h("figcaption", {}, h("h3", {}, swatch(i), " ", labelName(i, 40))),
    h(
      "div",
      { class: "three" },
      scores?.length && total(scores)
        ? part(
            "Scores",
            known(L.score[i]) ? `median ${score(L.score[i])}` : "",
            histogram({
              title: `Scores of ${plain}`,
              colour: L.colour[i],
              counts: scores,
              desc: `${count(total(scores))} detections; median ${score(L.score[i])}; threshold ${score(L.threshold[i])}.`,
              marks: [{ at: L.threshold[i], class: "mark" }],
              ticks: [
                [0, "0", "start"],
                ...(L.threshold[i] > 0.08 && L.threshold[i] < 0.9
                  ? [[L.threshold[i], `threshold ${score(L.threshold[i])}`]]
                  : []),
                [1, "1", "end"],
              ],
            }),
          )
        : null,
      place?.length && total(place)
        ? part(
            "Place",
            mostOf(place, FIELDS),
            placeChart({
              title: `Place of ${plain} in the picture`,
              colour: L.colour[i],
              counts: place,
              desc: place.map((v, k) => `${FIELDS[k]} ${Math.round((100 * v) / total(place))} %`).join(", "),
            }),
          )
        : null,
      sizes?.length && total(sizes)
        ? part(
            "Size",
            mostOf(sizes, SIZES),
            histogram({
              title: `Size of ${plain} as a share of the picture`,
              colour: L.colour[i],
              counts: sizes,
              desc: sizes.map((v, k) => `${SIZES[k]}: ${count(v)}`).join(", "),
              ticks: ["<1", "1–4", "4–16", "16–50", ">50 %"].map((text, k) => [(k + 0.5) / 5, text]),
            }),
          )
        : null,
    ),
  );
}
function shapesTable(labels) {
  return plainTable(
    "Place (per cent of boxes by field of the picture) and size (number of boxes by share of the picture’s area)",
    ["Label", ...FIELDS.map(capital), ...SIZES],
    labels.map((i) => {
      const { place, sizes } = D.details[i];
      return [
        labelName(i, 30),
        ...FIELDS.map((_, k) => (place && total(place) ? `${Math.round((100 * place[k]) / total(place))} %` : "–")),
        ...SIZES.map((_, k) => count(sizes?.[k])),
      ];
    }),
  );
}

function thresholdsSection(mount) {
  const table = dataTable({
    id: "thresholds",
    rows: D.suggested,
    start: null,
    pageSize: 20,
    caption: (n) => plural(n, "suggestion", "suggestions"),
    columns: [
      {
        key: "name",
        title: "Label",
        value: (one) => visible(L.name[one.label]),
        cell: (one) => h("span", { class: "labelled" }, swatch(one.label), labelName(one.label, 40)),
      },
      { key: "now", title: "Now", number: true, value: (one) => one.now, cell: (one) => score(one.now) },
      {
        key: "suggested",
        title: "Suggested",
        number: true,
        value: (one) => one.suggested,
        cell: (one) => h("b", { text: score(one.suggested) }),
      },
      { key: "why", title: "Why", cell: (one) => prose(one.why ?? "") },
    ],
  });
  mount.append(table.root);
  return (view) => table.update(D.suggested.filter((one) => !view.labels.length || view.labels.includes(one.label)));
}
