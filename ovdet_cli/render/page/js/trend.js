// Over time: how much there was (with a brush that filters), and the share of each label in it as small multiples.
function trendSection(mount) {
  if (!CUBE || !BINS) return () => {};
  const options = { counts: false, same: false, shown: NARROW ? 4 : 9 };
  const redraw = () => draw();
  const mode = toggleGroup(["Share", "Count"], (k) => {
    options.counts = k === 1;
    redraw();
  });
  const same = h("input", { type: "checkbox" });
  same.addEventListener("change", () => {
    options.same = same.checked;
    redraw();
  });
  const activity = h("div", { class: "activity" });
  const tools = h("div", { class: "toolbar" }, mode, h("label", { class: "check" }, same, " Same scale for all"));
  const cards = h("div", { class: "cards multiples" });
  const foot = h("div");
  mount.append(activity, tools, cards, foot);
  let view = null;

  function draw() {
    activity.replaceChildren(activityChart(view));
    const ranked = view.labels.length
      ? view.labels.filter((i) => CUBE.has[i])
      : L.name.map((_, i) => i).filter((i) => CUBE.has[i]);
    const some = ranked.slice(0, options.shown);
    const series = some.map((i) => seriesOf(view, i, options.counts));
    const top = (one) => Math.max(...one.values.map((v, k) => v ?? 0), ...shadowed(one), 0);
    const highest = Math.max(...series.map(top), 0);
    cards.replaceChildren(...series.map((one) => card(one, options, options.same ? highest : top(one), view)));
    if (!some.length) cards.append(h("p", { class: "note", text: "Labels of this filter are not kept by time." }));
    const more = ranked.length - some.length;
    foot.replaceChildren(
      more > 0
        ? button(moreOf(9, more), () => {
            options.shown += 9;
            draw();
          })
        : "",
      disclosure("These figures as a table", () => trendTable(series, options.counts)),
    );
  }
  return (next) => {
    view = next;
    draw();
  };
}
// Bands of bins with few units are as high as the page: they are drawn, but do not set the scale.
const shadowed = (one) => (one.highs ? one.highs.filter((_, k) => one.base[k] >= FEW) : []);

function seriesOf(view, label, counts) {
  const { found, base } = overTime(view, label);
  const values = Array.from(found, (x, k) => (base[k] ? (counts ? x : x / base[k]) : null));
  const bands = counts ? null : Array.from(found, (x, k) => wilson(x, base[k]));
  return { label, found, base, values, lows: bands?.map((one) => one[0]), highs: bands?.map((one) => one[1]) };
}

function card(one, options, highest, view) {
  const i = one.label;
  const scale = options.counts ? roundUp(highest, [1, 2, 3, 4, 5, 6, 8, 10]) : shareScale(Math.max(highest, 0.0005));
  const write = options.counts
    ? (v) => (Number.isInteger(v) ? count(v) : "")
    : (v) => `${+(100 * v).toFixed(scale < 0.02 ? 2 : 1)}${v === scale ? " %" : ""}`;
  const desc = trendWords(one, options.counts);
  return h(
    "figure",
    { class: "card" },
    h(
      "figcaption",
      {},
      h(
        "h3",
        {},
        swatch(i),
        " ",
        h(
          "button",
          {
            type: "button",
            class: "link",
            "aria-pressed": String(state.labels.includes(i)),
            onclick: () => toggleLabel(i),
          },
          labelName(i, 34),
        ),
      ),
      h("span", { class: "aside", text: desc }),
    ),
    lineChart({
      title: `${plainLabel(i)} over time`,
      desc,
      colour: L.colour[i],
      values: one.values,
      lows: one.lows,
      highs: one.highs,
      bases: one.base,
      scale,
      write,
      range: view.range,
      describe: (k) => binWords(one, k),
    }),
  );
}
function binWords(one, k) {
  const head = h("b", { text: binTitle(k) });
  if (!one.base[k]) return [head, `nothing in this ${SIZE}`];
  const [low, high] = wilson(one.found[k], one.base[k]);
  return [
    head,
    `${share(one.found[k] / one.base[k])} (${interval(low, high)})`,
    h("span", { text: `${count(one.found[k])} of ${units(one.base[k])}${one.base[k] < FEW ? ": few" : ""}` }),
  ];
}
// In words, for the caption: the first third against the last.
function trendWords(one, counts) {
  const sum = (array, from, to) => array.slice(from, to).reduce((a, b) => a + b, 0);
  const third = Math.max(1, Math.floor(NUM_BINS / 3));
  if (NUM_BINS < 2) return "";
  const ends = [
    [0, third],
    [NUM_BINS - third, NUM_BINS],
  ].map(([a, b]) => ({ x: sum(one.found, a, b), n: sum(one.base, a, b) }));
  if (counts) return `${count(ends[0].x)} in the first third, ${count(ends[1].x)} in the last`;
  if (!ends[0].n || !ends[1].n) return "";
  return `${share(ends[0].x / ends[0].n)} in the first third, ${share(ends[1].x / ends[1].n)} in the last`;
}
function trendTable(series, counts) {
  return plainTable(
    `${counts ? `${capital(UNIT.many)} with the label` : `Share of ${UNIT.many}`} by ${SIZE}`,
    [capital(SIZE), capital(UNIT.many), ...series.map((one) => labelName(one.label, 24))],
    BINS.starts.map((_, k) => [
      binTitle(k),
      count(series[0]?.base[k]),
      ...series.map((one) => (one.values[k] === null ? "–" : counts ? count(one.values[k]) : share(one.values[k]))),
    ]),
  );
}

function toggleGroup(titles, change) {
  const buttons = titles.map((title, k) =>
    button(
      title,
      () => {
        buttons.forEach((one, j) => one.setAttribute("aria-pressed", String(j === k)));
        change(k);
      },
      { "aria-pressed": String(k === 0) },
    ),
  );
  return h("div", { class: "group", role: "group", "aria-label": "Show" }, buttons);
}

// All units by bin. Drag over it to choose a time; its two handles do the same with arrow keys.
function activityChart(view) {
  const [width, height, bottom] = [1000, 90, 4];
  const base = new Float64Array(NUM_BINS);
  for (let k = 0; k < CUBE.baseUnits.length; k++)
    if (CUBE.baseBin[k] >= 0 && (!view.accounts.size || view.accounts.has(CUBE.baseAccount[k])))
      base[CUBE.baseBin[k]] += CUBE.baseUnits[k];
  const most = Math.max(1, ...base);
  const step = width / NUM_BINS;
  const few = base.filter((n) => n > 0 && n < FEW).length;
  const busiest = base.indexOf(most);
  const drawn = chart(
    width,
    height,
    `${capital(UNIT.many)} by ${SIZE}`,
    `${NUM_BINS} ${SIZE}s; most in ${binTitle(Math.max(0, busiest))}: ${count(most)}.`,
    { class: "bars-over-time", preserveAspectRatio: "none" },
    Array.from(base, (n, k) =>
      s("rect", {
        class: n < FEW ? "few" : "",
        x: k * step + Math.min(1, step / 8),
        width: Math.max(0.5, step - Math.min(2, step / 4)),
        y: (height - bottom) * (1 - n / most),
        height: ((height - bottom) * n) / most,
      }),
    ),
  );
  const shade = h("div", { class: "shade" });
  const area = h("div", { class: "brush" }, drawn, shade);
  let [first, last] = view.range ?? [0, NUM_BINS - 1];
  const place = () => {
    shade.style.left = `${(100 * first) / NUM_BINS}%`;
    shade.style.width = `${(100 * (last - first + 1)) / NUM_BINS}%`;
    shade.classList.toggle("whole", first === 0 && last === NUM_BINS - 1);
  };
  const settle = (step) =>
    choose(first === 0 && last === NUM_BINS - 1 ? { from: "", to: "" } : { from: stamp(first), to: stamp(last) }, step);
  const handles = ["Start", "End"].map((title, end) => {
    const handle = h("div", {
      class: `handle ${title.toLowerCase()}`,
      role: "slider",
      tabindex: 0,
      id: `brush-${end}`,
      "aria-label": `${title} of the time shown`,
      "aria-valuemin": 0,
      "aria-valuemax": NUM_BINS - 1,
      "aria-valuenow": end ? last : first,
      "aria-valuetext": binTitle(end ? last : first),
    });
    handle.addEventListener("keydown", (event) => {
      const by = {
        ArrowRight: 1,
        ArrowUp: 1,
        ArrowLeft: -1,
        ArrowDown: -1,
        PageUp: 7,
        PageDown: -7,
        Home: -1e9,
        End: 1e9,
      }[event.key];
      if (!by) return;
      event.preventDefault();
      if (end) last = Math.min(NUM_BINS - 1, Math.max(first, last + by));
      else first = Math.max(0, Math.min(last, first + by));
      settle(false); // each press of a key is no step for the back button
    });
    return handle;
  });
  shade.append(...handles);
  const binAt = (event) => {
    const box = area.getBoundingClientRect();
    return Math.min(NUM_BINS - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * NUM_BINS)));
  };
  area.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest?.(".handle");
    const anchor = grip ? (grip.classList.contains("start") ? last : first) : binAt(event);
    area.setPointerCapture(event.pointerId);
    const move = (moved) => {
      const k = binAt(moved);
      [first, last] = [Math.min(anchor, k), Math.max(anchor, k)];
      place();
    };
    if (!grip) move(event);
    area.addEventListener("pointermove", move);
    area.addEventListener(
      "pointerup",
      () => {
        area.removeEventListener("pointermove", move);
        settle(true);
      },
      { once: true },
    );
    area.addEventListener("pointercancel", () => area.removeEventListener("pointermove", move), { once: true });
  });
  area.addEventListener("pointermove", (event) => {
    const k = binAt(event);
    tip.show(event, h("b", { text: binTitle(k) }), units(base[k]));
  });
  area.addEventListener("pointerleave", () => tip.hide());
  place();
  return h(
    "figure",
    {},
    h("figcaption", {
      class: "aside",
      text: `${capital(UNIT.many)} by ${SIZE}, at most ${count(most)}. Drag to choose a time, or use the handles.${few ? ` Pale bars: fewer than ${FEW}.` : ""}`,
    }),
    area,
    h(
      "div",
      { class: "ends", "aria-hidden": "true" },
      h("span", { text: binShort(0) }),
      h("span", { text: binShort(NUM_BINS - 1) }),
    ),
  );
}
