// Thumbnails: one picture may serve several labels, so boxes are SVG over it and never drawn into it.
const lazy = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) show(target);
    }
  },
  { rootMargin: "400px" },
);
const waiting = () => document.querySelectorAll("img[data-waiting]");
function show(image) {
  lazy.unobserve(image);
  delete image.dataset.waiting;
  image.src = image.thumbSource();
}
const showAll = () => waiting().forEach(show); // paper has no scrolling
// Once all is drawn, the rest comes a few at a time while the browser has nothing else to do.
function showInIdleTime() {
  const idle = window.requestIdleCallback ?? ((task) => setTimeout(task, 60));
  idle(() => {
    [...waiting()].slice(0, 8).forEach(show);
    if (waiting().length) showInIdleTime();
  });
}

const EMPTY = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";
const isVideo = (picture) => known(picture.time_s);

// The words for a picture that is not seen: what is on it and where it is from.
function pictureWords(picture) {
  const found = [...new Set((picture.boxes ?? []).map((box) => box[0]))]
    .slice(0, 4)
    .map((i) => plainLabel(i, 30))
    .join(", ");
  return `${found || "Nothing found"}; ${shortened(fileName(picture.source), 40)}${isVideo(picture) ? ` at ${clock(picture.time_s)}` : ""}`;
}

// A picture with its boxes. `label`: the one to stress; `tags`: write the labels beside the boxes.
function boxed(picture, { label = null, tags = false, eager = false } = {}) {
  const [width, height] = [picture.width || 4, picture.height || 3];
  const image = h("img", { alt: "", decoding: "async", width: 320, height: Math.round((320 * height) / width) });
  const source = known(picture.thumb) ? () => thumbSource(picture.thumb) ?? EMPTY : null;
  if (source && eager) image.src = source();
  else if (source) {
    image.thumbSource = source;
    image.src = EMPTY;
    image.dataset.waiting = "";
    lazy.observe(image);
  }
  const boxes = (picture.boxes ?? [])
    .map((box, k) => ({ box, k }))
    .filter(({ box }) => !known(label) || tags || box[0] === label);
  const overlay = s(
    "svg",
    { class: "boxes", viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" },
    boxes.map(({ box: [i, , x1, y1, x2, y2], k }) =>
      [0, 1].map((front) =>
        s("rect", {
          "data-box": k,
          class: front ? "front" : "back",
          x: 100 * x1,
          y: 100 * y1,
          width: Math.max(0, 100 * (x2 - x1)),
          height: Math.max(0, 100 * (y2 - y1)),
          stroke: front ? brightInk(L.colour[i]) : null,
        }),
      ),
    ),
  );
  const frame = h("span", { class: source ? "boxed" : "boxed blank" }, source ? image : null, overlay);
  frame.style.aspectRatio = `${width} / ${height}`;
  if (tags)
    frame.append(
      ...boxes.map(({ box: [i, value, x1, y1], k }) => {
        const tag = h(
          "span",
          { class: "tag", "data-box": k, "aria-hidden": "true" },
          `${k + 1} `,
          labelName(i, 22),
          ` ${score(value)}`,
        );
        tag.style.left = `${Math.min(92, Math.max(0, 100 * x1))}%`;
        tag.style.top = `${Math.min(96, Math.max(0, 100 * y1))}%`;
        return tag;
      }),
    );
  return frame;
}
const brightInk = (colour) => (/^#[0-9a-f]{6}$/i.test(colour ?? "") ? colour : "#ffffff");

// A thumbnail that opens the record; `list` is what the arrow keys go through.
function thumb(index, list, label = null, words = null) {
  const picture = D.pictures[index];
  const scores = (picture.boxes ?? [])
    .filter((box) => box[0] === label)
    .map((box) => box[1])
    .filter(known);
  const title = known(label)
    ? score(scores.length ? Math.max(...scores) : null)
    : shortened(fileName(picture.source), 24);
  const under = words ?? (isVideo(picture) ? `${title} · ${clock(picture.time_s)}` : title);
  const attributes = { type: "button", class: "thumb", "data-picture": index, onclick: () => openRecord(index, list) };
  // The name begins with what is seen, so that one can say it to a voice control.
  return h(
    "button",
    { ...attributes, "aria-label": `${under}: ${pictureWords(picture)}` },
    boxed(picture, { label }),
    h("span", { class: "under", text: under }),
  );
}

const ROWS = [
  ["unsure", "Look here first", "nearest to the threshold"],
  ["surest", "Surest", "highest scores"],
  ["random", "Random sample", "what a typical find looks like"],
];
function picturesSection(mount) {
  const options = { shown: NARROW ? 2 : 3 };
  const list = h("div");
  const foot = h("div", { class: "pager" });
  const note = h("p", { class: "note" });
  mount.append(note, list, foot);
  let view = null;
  function draw() {
    const detailed = Object.keys(D.details)
      .map(Number)
      .sort((a, b) => a - b)
      .filter((i) => i < NUM_LABELS && Object.values(D.details[i].gallery ?? {}).some((one) => one?.length));
    const wanted = view.labels.length ? view.labels.filter((i) => detailed.includes(i)) : detailed;
    const withPictures = wanted.map((i) => [i, galleryOf(i, view)]).filter(([, rows]) => rows.length);
    list.replaceChildren(...withPictures.slice(0, options.shown).map(([i, rows]) => gallery(i, rows, view)));
    const left = withPictures.length - options.shown;
    foot.replaceChildren(
      left > 0
        ? button(moreOf(5, left, " labels"), () => {
            options.shown += 5;
            draw();
          })
        : "",
    );
    const loose =
      view.labels.length && !withPictures.length
        ? D.pictures
            .map((_, k) => k)
            .filter((k) => pictureMatches(k, view))
            .slice(0, 24)
        : [];
    if (loose.length)
      list.append(
        h(
          "div",
          { class: "thumbs" },
          loose.map((k) => thumb(k, loose)),
        ),
      );
    const unknown = view.cut && D.pictures.some((one) => !known(one.post));
    note.textContent = [
      !withPictures.length && !loose.length ? "None of the pictures in this page match the filter." : "",
      unknown ? "Pictures whose account and time are not known are left out under this filter." : "",
      D.more.thumbs
        ? `${plural(D.more.thumbs, "thumbnail was", "thumbnails were")} left out for the size of the page.`
        : "",
    ]
      .filter(Boolean)
      .join(" ");
    note.hidden = !note.textContent;
  }
  return (next) => {
    view = next;
    options.shown = NARROW ? 2 : 3;
    draw();
  };
}
const pictureMatches = (k, view) =>
  postPasses(view, postOf(D.pictures[k])) &&
  (!view.labels.length || (D.pictures[k].boxes ?? []).some((box) => view.labels.includes(box[0])));

function galleryOf(i, view) {
  const rows = ROWS.map(([key, title, what]) => {
    const pictures = (D.details[i].gallery?.[key] ?? []).filter(
      (k) => D.pictures[k] && postPasses(view, postOf(D.pictures[k])),
    );
    return { title, what, pictures };
  }).filter((row) => row.pictures.length);
  // With a handful of finds the three rows would show the same pictures three times.
  const all = [...new Set(rows.flatMap((row) => row.pictures))];
  if (rows.length < 2 || all.length > 6 || all.length > Math.max(...rows.map((row) => row.pictures.length)))
    return rows;
  return [{ title: "All of them", what: "nearest to the threshold first", pictures: all }];
}
function gallery(i, rows, view) {
  const threshold = L.threshold[i];
  const inAll = rows.flatMap((row) => row.pictures);
  return h(
    "div",
    { class: "gallery" },
    h(
      "h3",
      {},
      swatch(i),
      " ",
      labelName(i, 48),
      h("span", {
        class: "aside",
        text: `${known(view.share(i)) ? `in ${share(view.share(i))} of ${UNIT.many}` : ""}${known(threshold) ? `, threshold ${score(threshold)}` : ""}`,
      }),
    ),
    h(
      "div",
      { class: rows.length > 1 ? "rows" : "rows single" },
      rows.map((row) =>
        h(
          "div",
          { class: "row" },
          h("h4", {}, row.title, h("span", { class: "aside", text: row.what })),
          h(
            "div",
            { class: "thumbs" },
            row.pictures.map((k) => thumb(k, inAll, i)),
          ),
        ),
      ),
    ),
  );
}
