// Tables that sort, search and page: real <table>s, of which only one page of rows is in the document.
//
// columns: [{key, title, value(row) -> what to sort by, cell(row) -> node or text, number, hint, extra}]
// `extra` columns show on demand and never on a phone.
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function dataTable({ id, caption, columns, rows, start, pageSize = 25, search, headers = 1, more }) {
  const view = { rows, page: 0, query: "", extra: false };
  const head = h("tr");
  const body = h("tbody");
  const title = h("caption");
  const table = h("table", {}, title, h("thead", {}, head), body);
  const pager = h("div", { class: "pager" });
  const bar = h("div", { class: "toolbar" });
  const root = h("div", { class: "tabled" }, bar, h("div", { class: "scroll" }, table), pager);
  if (search) {
    const input = h("input", {
      type: "search",
      placeholder: search.title,
      "aria-label": search.title,
      autocomplete: "off",
    });
    input.addEventListener("input", () => {
      view.query = input.value;
      view.page = 0;
      draw();
      say(found());
    });
    bar.append(input);
  }
  if (columns.some((column) => column.extra)) {
    const all = h("input", { type: "checkbox" });
    all.addEventListener("change", () => {
      view.extra = all.checked;
      table.classList.toggle("wide", view.extra);
      drawHead();
      draw();
    });
    bar.append(h("label", { class: "check" }, all, " All columns"));
  }
  if (!bar.children.length) bar.remove();

  const shown = () => columns.filter((column) => view.extra || !column.extra);
  const order = () => state.sort[id] ?? start;
  const found = () => `${count(matches().length)} rows`;

  function matches() {
    const wanted = view.query.trim().toLowerCase();
    return wanted ? view.rows.filter((row) => search.text(row).toLowerCase().includes(wanted)) : view.rows;
  }
  function sorted(some) {
    const falling = order()?.startsWith("-");
    const column = columns.find((one) => one.key === order()?.replace(/^-/, ""));
    if (!column) return some;
    const keyed = some.map((row, i) => [column.value(row), i, row]);
    keyed.sort(([a, i], [b, j]) => {
      if (!known(a) || !known(b)) return known(a) ? -1 : known(b) ? 1 : i - j; // what is not known stands last
      const by = typeof a === "string" ? collator.compare(a, b) : a - b;
      return (falling ? -by : by) || i - j;
    });
    return keyed.map((one) => one[2]);
  }
  function drawHead() {
    head.replaceChildren(
      ...shown().map((column) => {
        const sort = order() === column.key ? "ascending" : order() === `-${column.key}` ? "descending" : "none";
        const content = column.value
          ? h("button", { type: "button", text: column.title, onclick: () => sortBy(column) })
          : h("span", { class: column.hidden ? "unseen" : null, text: column.title });
        return h(
          "th",
          { scope: "col", class: classOf(column), "aria-sort": column.value ? sort : null, title: column.hint },
          content,
        );
      }),
    );
  }
  function sortBy(column) {
    const first = column.number ? `-${column.key}` : column.key;
    const other = column.number ? column.key : `-${column.key}`;
    view.page = 0;
    choose({ sort: { ...state.sort, [id]: order() === first ? other : first } }, false);
    draw();
    head.children[shown().indexOf(column)]?.querySelector("button")?.focus();
    say(`Sorted by ${column.title}, ${order().startsWith("-") ? "descending" : "ascending"}`);
  }
  function draw() {
    drawHead();
    const all = sorted(matches());
    const pages = Math.max(1, Math.ceil(all.length / pageSize));
    view.page = Math.min(view.page, pages - 1);
    const first = view.page * pageSize;
    body.replaceChildren(
      ...all.slice(first, first + pageSize).map((row) =>
        h(
          "tr",
          {},
          shown().map((column, k) =>
            h(
              k < headers ? "th" : "td",
              { scope: k < headers ? "row" : null, class: classOf(column) },
              column.cell(row),
            ),
          ),
        ),
      ),
    );
    if (!all.length) body.append(h("tr", {}, h("td", { colspan: shown().length, text: "Nothing matches." })));
    title.replaceChildren(...[caption(all.length)].flat());
    pager.hidden = pages < 2;
    const turn = (by) => () => {
      view.page += by;
      draw();
      say(place());
    };
    const place = () =>
      `${count(first + 1)} to ${count(Math.min(first + pageSize, all.length))} of ${count(all.length)}`;
    pager.replaceChildren(
      button("Previous", turn(-1), { disabled: view.page === 0 }),
      h("span", { text: place() }),
      button("Next", turn(1), { disabled: view.page === pages - 1 }),
      more ? more() : "",
    );
  }
  return {
    root,
    update(next = view.rows) {
      view.rows = next;
      draw();
    },
    restart(next) {
      view.page = 0;
      this.update(next);
    },
  };
}
const classOf = (column) => [column.number && "number", column.class].filter(Boolean).join(" ") || null;

// A table of numbers behind a chart: plain, and all of it.
function plainTable(caption, titles, rows) {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h("caption", { text: caption }),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          titles.map((title, k) => h("th", { scope: "col", class: k ? "number" : null }, title)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            row.map((cell, k) => h(k ? "td" : "th", { scope: k ? null : "row", class: k ? "number" : null }, cell)),
          ),
        ),
      ),
    ),
  );
}
