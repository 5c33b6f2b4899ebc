// Videos: one row a label, bands where it is seen, key frames below. Bands are links (to the clip at that time), so they
// are HTML and not SVG; one tab stop a video, arrow keys go from band to band.
const MOST_ROWS = 10;

function videosSection(mount) {
  const options = { shown: NARROW ? 2 : 3 };
  const list = h("div");
  const foot = h("div", { class: "pager" });
  mount.append(list, foot);
  let view = null;
  function draw() {
    const videos = D.videos.filter((video) => videoMatches(video, view));
    list.replaceChildren(...videos.slice(0, options.shown).map((video) => videoFigure(video, view)));
    if (!videos.length)
      list.append(h("p", { class: "note", text: "None of the videos in this page match the filter." }));
    const left = videos.length - options.shown;
    foot.replaceChildren(
      left > 0
        ? button(moreOf(5, left, left === 1 ? " video" : " videos"), () => {
            options.shown += 5;
            draw();
          })
        : "",
      D.more.videos
        ? h("span", { text: `${plural(D.more.videos, "video was", "videos were")} counted, but not shown here.` })
        : "",
    );
    foot.hidden = left <= 0 && !D.more.videos;
  }
  return (next) => {
    view = next;
    options.shown = NARROW ? 2 : 3;
    draw();
  };
}
function videoMatches(video, view) {
  if (view.labels.length && !(video.bands ?? []).some((band) => view.labels.includes(band[0]))) return false;
  if (!view.cut) return true;
  const frames = [...(video.strip ?? []), ...(video.bands ?? []).map((band) => band[5])].filter(
    (k) => known(k) && D.pictures[k]?.source === video.source,
  );
  const post =
    D.posts.find((one) => one.files?.includes(video.source)) ?? frames.map((k) => postOf(D.pictures[k])).find(Boolean);
  return postPasses(view, post);
}

function videoFigure(video, view) {
  const duration = Math.max(video.duration_s ?? 0, ...(video.bands ?? []).map((band) => band[2]), 0.001);
  const byLabel = new Map();
  for (const band of video.bands ?? [])
    if (!view.labels.length || view.labels.includes(band[0]))
      byLabel.set(band[0], [...(byLabel.get(band[0]) ?? []), band]);
  const length = (bands) => bands.reduce((sum, band) => sum + band[2] - band[1], 0);
  const rows = [...byLabel]
    .map(([i, bands]) => ({ i, on: length(bands), bands: merged(bands, duration) }))
    .sort((a, b) => b.on - a.on);
  const strip = (video.strip ?? []).filter((k) => D.pictures[k]);
  const grid = h(
    "div",
    { class: "lanes" },
    rows.slice(0, MOST_ROWS).map((row) => lane(row, video, duration)),
    rows.length ? axis(duration) : null,
  );
  roving(grid);
  return h(
    "figure",
    { class: "video" },
    h(
      "figcaption",
      {},
      h("h3", {}, link(video.href, path(fileName(video.source), 60))),
      h("span", {
        class: "aside",
        text: [
          known(video.duration_s) ? clock(video.duration_s, false) : "",
          known(video.frames) ? plural(video.frames, "frame looked at", "frames looked at") : "",
          plural(rows.length, "label", "labels"),
        ]
          .filter(Boolean)
          .join(" · "),
      }),
    ),
    grid,
    rows.length > MOST_ROWS
      ? h("p", {
          class: "note",
          text: `${rows.length - MOST_ROWS} more labels, seen for a shorter time, are in the table.`,
        })
      : null,
    strip.length
      ? h(
          "div",
          { class: "strip", tabindex: 0, role: "group", "aria-label": "Key frames" },
          strip.map((k) => thumb(k, strip, null, clock(D.pictures[k].time_s))),
        )
      : null,
    rows.length
      ? disclosure("These times as a table", () =>
          plainTable(
            `When labels are seen in ${shortened(fileName(video.source), 60)}`,
            ["Label", "From", "To", "Best at", "Best score"],
            rows.flatMap((row) =>
              row.bands
                .slice(0, 200)
                .map((band) => [labelName(row.i, 40), clock(band[1]), clock(band[2]), clock(band[3]), score(band[4])]),
            ),
          ),
        )
      : h("p", { class: "note", text: "Nothing was found in it." }),
  );
}
// Bands nearer than one could see apart become one, so that a flickering label does not make thousands of elements.
function merged(bands, duration) {
  const out = [];
  for (const band of [...bands].sort((a, b) => a[1] - b[1])) {
    const before = out.at(-1);
    if (before && band[1] - before[2] < duration / 400) {
      before[2] = Math.max(before[2], band[2]);
      if ((band[4] ?? 0) > (before[4] ?? 0)) [before[3], before[4], before[5]] = band.slice(3);
    } else out.push([...band]);
  }
  return out;
}
function lane(row, video, duration) {
  const track = h(
    "div",
    { class: "track" },
    row.bands.map((band) => {
      const [, start, end, best, value, picture] = band;
      const words = `${plainLabel(row.i, 40)}, ${clock(start)} to ${clock(end)}, best at ${clock(best)}, score ${score(value)}`;
      const safe = safeLink(video.href);
      const mark = safe
        ? h("a", {
            class: "band",
            href: atTime(safe, start),
            target: "_blank",
            rel: "noopener noreferrer",
            "aria-label": words,
            tabindex: -1,
          })
        : h("span", { class: "band", role: "img", "aria-label": words, tabindex: -1 });
      mark.style.left = `${(100 * start) / duration}%`;
      mark.style.width = `${Math.max(0.35, (100 * (end - start)) / duration)}%`;
      mark.style.setProperty("--own", ink(L.colour[row.i]));
      const frame = known(picture) ? D.pictures[picture] : null;
      const show = (event) =>
        tip.show(
          event,
          frame ? boxed(frame, { label: row.i, eager: true }) : "",
          h("b", {}, labelName(row.i, 40)),
          h("span", { text: `${clock(start)} to ${clock(end)}` }),
          h("span", { text: `best at ${clock(best)}, score ${score(value)}` }),
        );
      for (const kind of ["pointerenter", "pointermove", "focus"]) mark.addEventListener(kind, show);
      for (const kind of ["pointerleave", "blur"]) mark.addEventListener(kind, tip.hide);
      return mark;
    }),
  );
  return h(
    "div",
    { class: "lane" },
    h("div", { class: "labelled" }, swatch(row.i), labelName(row.i, 26)),
    track,
    h("div", { class: "on", text: clock(row.on, row.on < 10) }),
  );
}
function axis(duration) {
  const step = roundUp(duration / (NARROW ? 3 : 6), [1, 1.5, 2, 3, 6, 10]);
  const ticks = [];
  for (let t = 0; t <= duration * 0.97; t += step) {
    const tick = h("span", { text: clock(t, step < 1) });
    tick.style.left = `${(100 * t) / duration}%`;
    ticks.push(tick);
  }
  return h(
    "div",
    { class: "lane axis", "aria-hidden": "true" },
    h("div"),
    h("div", { class: "track" }, ticks),
    h("div", { class: "on", text: "on" }),
  );
}
function roving(grid) {
  const bands = () => [...grid.querySelectorAll(".band")];
  bands()[0]?.setAttribute("tabindex", "0");
  grid.addEventListener("keydown", (event) => {
    const all = bands();
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    const lanes = [...grid.querySelectorAll(".lane:not(.axis)")];
    const here = lanes.indexOf(all[at].closest(".lane"));
    const to = {
      ArrowRight: () => all[at + 1],
      ArrowLeft: () => all[at - 1],
      ArrowDown: () => lanes[here + 1]?.querySelector(".band"),
      ArrowUp: () => lanes[here - 1]?.querySelector(".band"),
      Home: () => all[0],
      End: () => all.at(-1),
    }[event.key]?.();
    if (!to) return;
    event.preventDefault();
    all[at].setAttribute("tabindex", "-1");
    to.setAttribute("tabindex", "0");
    to.focus();
  });
}
