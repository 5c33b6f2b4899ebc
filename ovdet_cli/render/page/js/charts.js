// Charts are plain SVG made here, not by a library: the page stays some 60 kB instead of some hundred, each chart has a
// title, a description and its numbers as a table for who does not see it, and it prints as sharp lines.
let chartId = 0;

// An SVG that says in words what it shows.
function chart(width, height, title, desc, attributes, ...children) {
  const id = `chart${++chartId}`;
  return s(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": `${id}t ${id}d`, ...attributes },
    s("title", { id: `${id}t`, text: title }),
    s("desc", { id: `${id}d`, text: desc }),
    ...children,
  );
}

// A round number at or above the highest value, for the end of a scale.
function roundUp(value, steps = [1, 1.5, 2, 3, 4, 5, 6, 8, 10]) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return steps.find((step) => value <= step * power * (1 + 1e-9)) * power;
}
const shareScale = (value) => Math.min(1, roundUp(value));

// A share as a bar with its interval as a line over it; the numbers stand beside it in the row.
function bar(value, low, high, scale) {
  const at = (v) => `${Math.min(100, (100 * v) / scale).toFixed(2)}%`;
  return s(
    "svg",
    { class: "bar", "aria-hidden": "true", focusable: "false" },
    s("rect", { class: "fill", x: 0, y: 4, height: 10, width: at(value ?? 0) }),
    known(low) && known(high) ? s("line", { class: "whisker", y1: 9, y2: 9, x1: at(low), x2: at(high) }) : null,
  );
}

// A line over time bins with its interval as a band. values, lows, highs: fractions or counts, null where nothing is known.
function lineChart({ title, desc, colour, values, lows, highs, bases, scale, write, range, describe }) {
  const [width, height, left, right, top, bottom] = [320, 132, 36, 6, 8, 20];
  const n = values.length;
  const step = (width - left - right) / Math.max(1, n);
  const x = (k) => left + (k + 0.5) * step;
  const y = (v) => top + (height - top - bottom) * (1 - Math.min(1, v / scale));
  const grid = [0, scale / 2, scale].map((v) => [
    s("line", { class: "grid", x1: left, x2: width - right, y1: y(v), y2: y(v) }),
    s("text", { class: "tick", x: left - 5, y: y(v) + 3.5, "text-anchor": "end", text: write(v) }),
  ]);
  const bands = [];
  const lines = [];
  for (const [from, to] of stretches(values)) {
    const some = Array.from({ length: to - from + 1 }, (_, k) => from + k);
    lines.push(
      s("path", { class: "line", d: "M" + some.map((k) => `${x(k).toFixed(1)} ${y(values[k]).toFixed(1)}`).join("L") }),
    );
    if (lows) {
      const upper = some.map((k) => `${x(k).toFixed(1)} ${y(highs[k]).toFixed(1)}`);
      const lower = some.map((k) => `${x(k).toFixed(1)} ${y(lows[k]).toFixed(1)}`).reverse();
      bands.push(s("path", { class: "band", d: `M${[...upper, ...lower].join("L")}Z` }));
    }
  }
  const dots = values.map((v, k) => {
    const few = bases[k] < FEW;
    if (v === null || (n > 45 && !few)) return null;
    return s("circle", {
      class: few ? "dot few" : "dot",
      cx: x(k).toFixed(1),
      cy: y(v).toFixed(1),
      r: n > 45 ? 1.6 : 2.4,
    });
  });
  const veil = range
    ? [
        [0, range[0]],
        [range[1] + 1, n],
      ].map(
        ([a, b]) =>
          b > a &&
          s("rect", {
            class: "veil",
            x: left + a * step,
            width: (b - a) * step,
            y: top,
            height: height - top - bottom,
          }),
      )
    : null;
  const cursor = s("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
  const drawn = chart(
    width,
    height,
    title,
    desc,
    { class: "trend" },
    grid,
    bands,
    lines,
    dots,
    veil,
    s("text", { class: "tick", x: left, y: height - 5, text: binShort(0) }),
    n > 1
      ? s("text", { class: "tick", x: width - right, y: height - 5, "text-anchor": "end", text: binShort(n - 1) })
      : null,
    cursor,
  );
  drawn.style.setProperty("--own", ink(colour));
  drawn.addEventListener("pointermove", (event) => {
    const box = drawn.getBoundingClientRect();
    const k = Math.floor((((event.clientX - box.left) / box.width) * width - left) / step);
    if (k < 0 || k >= n) return leave();
    cursor.setAttribute("visibility", "visible");
    cursor.setAttribute("x1", x(k));
    cursor.setAttribute("x2", x(k));
    tip.show(event, describe(k));
  });
  const leave = () => {
    cursor.setAttribute("visibility", "hidden");
    tip.hide();
  };
  drawn.addEventListener("pointerleave", leave);
  return drawn;
}
function stretches(values) {
  const found = [];
  for (let k = 0; k < values.length; k++) {
    if (values[k] === null) continue;
    if (k && values[k - 1] !== null) found.at(-1)[1] = k;
    else found.push([k, k]);
  }
  return found;
}
const binShort = (k) => {
  const time = moment(BINS.starts[k]);
  return SIZE === "hour" ? time.replace(/ \d{4},/, ",") : SIZE === "month" ? binTitle(k) : day(BINS.starts[k]);
};

// Bars over equal steps: scores, sizes.
function histogram({ title, desc, counts, marks = [], ticks, colour }) {
  const [width, height, bottom] = [240, 84, 18];
  const most = Math.max(1, ...counts);
  const step = width / counts.length;
  return chart(
    width,
    height,
    title,
    desc,
    { class: "histogram", css: { "--own": ink(colour) } },
    counts.map((v, k) =>
      s("rect", {
        x: k * step + 0.5,
        width: step - 1,
        y: (height - bottom) * (1 - v / most),
        height: ((height - bottom) * v) / most,
      }),
    ),
    s("line", { class: "grid", x1: 0, x2: width, y1: height - bottom, y2: height - bottom }),
    marks
      .filter((mark) => known(mark.at))
      .map((mark) =>
        s("line", { class: mark.class, x1: mark.at * width, x2: mark.at * width, y1: 0, y2: height - bottom }),
      ),
    ticks.map(([at, text, anchor]) =>
      s("text", { class: "tick", x: at * width, y: height - 4, "text-anchor": anchor ?? "middle", text }),
    ),
  );
}

// Where boxes lie: a picture in nine fields.
function placeChart({ title, desc, counts, colour }) {
  const total = counts.reduce((a, b) => a + b, 0) || 1;
  const most = Math.max(1, ...counts);
  return chart(
    120,
    84,
    title,
    desc,
    { class: "place", css: { "--own": ink(colour) } },
    counts.map((v, k) => {
      const [px, py] = [(k % 3) * 40, Math.floor(k / 3) * 28];
      return [
        s("rect", {
          x: px + 1,
          y: py + 1,
          width: 38,
          height: 26,
          "fill-opacity": (0.08 + 0.62 * (v / most)).toFixed(3),
        }),
        s("text", {
          class: "tick strong",
          x: px + 20,
          y: py + 18,
          "text-anchor": "middle",
          text: `${Math.round((100 * v) / total)}`,
        }),
      ];
    }),
  );
}

// Labels against labels. `value(a, b)` in [0, 1] gives the shade, `write(a, b)` what stands in a cell.
function heatMap({ labels, title, desc, value, write, describe }) {
  const longest = (length) => Math.max(...labels.map((i) => [...plainLabel(i, length)].length));
  const [cell, left, top] = [labels.length > 18 ? 24 : 32, 18 + 6.6 * longest(17), 24 + 5.2 * longest(15)];
  const strongest = Math.max(0.01, ...labels.flatMap((_, a) => labels.map((_, b) => (a === b ? 0 : value(a, b)))));
  const [width, height] = [left + cell * labels.length + 3 * longest(15), top + cell * labels.length + 4];
  const cells = labels.flatMap((_, a) =>
    labels.map((_, b) => {
      const shade = a === b ? 0 : value(a, b) / strongest;
      const box = s("rect", {
        x: left + b * cell + 0.5,
        y: top + a * cell + 0.5,
        width: cell - 1,
        height: cell - 1,
        class: a === b ? "self" : "heat",
        "fill-opacity": a === b ? null : (0.05 + 0.85 * shade).toFixed(3),
      });
      box.addEventListener("pointerenter", (event) => tip.show(event, describe(a, b)));
      const text = s("text", {
        class: shade > 0.55 ? "tick on" : "tick strong",
        x: left + (b + 0.5) * cell,
        y: top + (a + 0.5) * cell + 3.5,
        "text-anchor": "middle",
        text: write(a, b),
      });
      return [box, text];
    }),
  );
  const drawn = chart(
    width,
    height,
    title,
    desc,
    { class: "heatmap", width, height },
    labels.map((i, k) => [
      s("text", {
        class: "axis",
        x: left - 7,
        y: top + (k + 0.5) * cell + 4,
        "text-anchor": "end",
        text: isolated(plainLabel(i, 17)),
      }),
      s("text", {
        class: "axis",
        transform: `translate(${left + (k + 0.5) * cell + 4} ${top - 7}) rotate(-50)`,
        text: isolated(plainLabel(i, 15)),
      }),
    ]),
    cells,
  );
  drawn.addEventListener("pointerleave", () => tip.hide());
  return drawn;
}
// SVG text has no <bdi>: first-strong isolates do the same. Our own, so they are not named as the feed's are.
const isolated = (text) => `\u2068${text}\u2069`;
