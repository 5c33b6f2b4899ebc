// The full record of one picture, in a native dialog: it keeps the focus, closes with Esc, and the address knows it.
let around = [];

function openRecord(index, list) {
  around = list?.includes(index) ? [...new Set(list)] : D.pictures.map((_, k) => k);
  choose({ picture: index });
}
function followRecord() {
  const dialog = $("record");
  if (!known(state.picture)) {
    if (dialog.open) dialog.close();
    return;
  }
  if (!around.includes(state.picture)) around = D.pictures.map((_, k) => k);
  drawRecord(dialog, state.picture);
  if (!dialog.open) dialog.showModal();
}
function step(by) {
  const at = around.indexOf(state.picture) + by;
  if (at < 0 || at >= around.length) return;
  const held = document.activeElement?.dataset?.step;
  choose({ picture: around[at] }, false);
  ($("record").querySelector(`[data-step="${held}"]:not(:disabled)`) ?? $("record").querySelector("h2"))?.focus();
  say(`${at + 1} of ${around.length}: ${pictureWords(D.pictures[around[at]])}`);
}
function setUpRecord() {
  const dialog = $("record");
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    event.preventDefault();
    step(by);
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    const opened = state.picture;
    if (known(opened)) choose({ picture: null });
    document.querySelector(`main [data-picture="${opened}"]`)?.focus({ preventScroll: true });
  });
}

function drawRecord(dialog, index) {
  const picture = D.pictures[index];
  const post = postOf(picture);
  const at = around.indexOf(index);
  const view = boxed(picture, { tags: true, eager: true });
  const boxes = picture.boxes ?? [];
  const title = h("h2", { id: "record-title", tabindex: -1 }, path(fileName(picture.source), 70));
  dialog.replaceChildren(
    h(
      "header",
      {},
      title,
      h(
        "div",
        { class: "turn" },
        button("←", () => step(-1), { "aria-label": "Previous picture", disabled: at <= 0, "data-step": "-1" }),
        h("span", { class: "soft", text: `${at + 1} of ${around.length}` }),
        button("→", () => step(1), {
          "aria-label": "Next picture",
          disabled: at >= around.length - 1,
          "data-step": "1",
        }),
        button("Close", () => dialog.close(), { "aria-label": "Close this record" }),
      ),
    ),
    h(
      "div",
      { class: "record" },
      h(
        "div",
        { class: "look" },
        view,
        boxes.length ? boxToggles(view) : null,
        h("p", {
          class: "note",
          text: `This is a thumbnail${picture.width ? `; the original has ${picture.width} × ${picture.height} pixels` : ""}.`,
        }),
      ),
      h(
        "div",
        { class: "tell" },
        recordFacts(picture, post),
        boxes.length ? boxTable(boxes, view) : h("p", { class: "note", text: "Nothing was found in it." }),
      ),
    ),
  );
  dialog.scrollTop = 0;
}

function boxToggles(view) {
  const toggle = (text, name) => {
    const box = h("input", { type: "checkbox" });
    box.checked = true;
    box.addEventListener("change", () => view.classList.toggle(name, !box.checked));
    return h("label", { class: "check" }, box, ` ${text}`);
  };
  return h("div", { class: "toolbar" }, toggle("Boxes", "no-boxes"), toggle("Labels and scores", "no-tags"));
}

function recordFacts(picture, post) {
  const facts = [];
  const fact = (title, ...value) => facts.push(h("div", {}, h("dt", { text: title }), h("dd", {}, value)));
  const href = safeLink(picture.href);
  fact("File", path(picture.source));
  if (href && isVideo(picture))
    fact("Open", link(atTime(href, picture.time_s), `The clip at ${clock(picture.time_s)}`));
  else if (href) fact("Open", link(href, "The original file"));
  else if (picture.href) fact("Path", path(picture.href));
  if (isVideo(picture)) fact("Time in the clip", clock(picture.time_s));
  if (post) {
    if (known(post.account)) fact("Account", name(post.account, 60));
    if (known(post.time))
      fact(
        "Posted",
        moment(post.time),
        post.time_from ? h("span", { class: "aside", text: `time from ${visible(post.time_from)}` }) : null,
      );
    if (known(post.likes)) fact("Likes", count(post.likes));
    if (post.text) fact("Text", prose(post.text));
    if (post.tags?.length)
      fact(
        "Tags",
        post.tags.slice(0, 40).flatMap((tag, k) => [k ? " " : "", name(tag, 30)]),
      );
    if (post.url) fact("Post", link(post.url, shortened(visible(post.url), 70)));
    if (post.files?.length > 1) fact("Files of the post", count(post.files.length));
    else if (known(post.id) && post.id !== picture.source) fact("Id", name(post.id, 60));
  }
  return h("dl", { class: "facts" }, facts);
}

function boxTable(boxes, view) {
  const stress = (k) =>
    view
      .querySelectorAll("[data-box]")
      .forEach((one) => one.classList.toggle("dim", k !== null && one.dataset.box !== String(k)));
  const table = dataTable({
    id: "record",
    rows: boxes.map((box, k) => ({ box, k })),
    start: "-score",
    pageSize: 30,
    headers: 2,
    caption: (n) => plural(n, "detection", "detections"),
    columns: [
      { key: "number", title: "No.", value: (one) => one.k + 1, cell: (one) => `${one.k + 1}` },
      {
        key: "label",
        title: "Label",
        value: (one) => visible(L.name[one.box[0]]),
        cell: (one) => {
          const row = h("span", { class: "labelled" }, swatch(one.box[0]), labelName(one.box[0], 40));
          row.addEventListener("pointerenter", () => stress(one.k));
          row.addEventListener("pointerleave", () => stress(null));
          return row;
        },
      },
      { key: "score", title: "Score", number: true, value: (one) => one.box[1], cell: (one) => score(one.box[1]) },
      {
        key: "size",
        title: "Of the area",
        number: true,
        value: (one) => areaOf(one.box),
        cell: (one) => share(areaOf(one.box)),
      },
    ],
  });
  table.update();
  return table.root;
}
const areaOf = ([, , x1, y1, x2, y2]) => Math.max(0, x2 - x1) * Math.max(0, y2 - y1);
const atTime = (href, seconds) => `${href.replace(/#.*$/, "")}#t=${Math.max(0, seconds ?? 0).toFixed(1)}`;
