// Who posts it: accounts, tags and folders; and the posts that show a label best.
function whoSection(mount) {
  const accounts = h("div");
  const rest = h("div", { class: "columns" });
  mount.append(accounts, rest);
  const updates = [];
  if (D.accounts?.length) updates.push(accountsTable(accounts));
  const smaller = (rows, title, id, key) => {
    const box = h("div");
    rest.append(box);
    updates.push(groupTable(box, rows, title, id, key));
  };
  if (D.tags?.length) smaller(D.tags, "Tags", "tags", "Tag");
  if (D.folders.length > 1) smaller(D.folders, "Folders", "folders", "Folder");
  return (view) => updates.forEach((update) => update(view));
}

function accountsTable(mount) {
  const note = h("p", { class: "note" });
  let table = null;
  let shape = "";
  return (view) => {
    const labels = view.possible && CUBE ? view.labels.filter((i) => CUBE.has[i]).slice(0, 4) : [];
    const recounted = CUBE?.adds && (view.cut || labels.length > 0);
    const rows = recounted
      ? countedAccounts(view, labels)
      : D.accounts.filter((one) => !view.accounts.size || view.accounts.has(ACCOUNTS_BY_NAME.get(one.name)));
    const now = `${recounted} ${labels}`;
    if (!table || shape !== now) {
      shape = now;
      table = dataTable({
        id: "accounts",
        rows,
        start: "-units",
        pageSize: NARROW ? 8 : 12,
        caption: (n) => plural(n, "account", "accounts"),
        search: D.accounts.length > 15 ? { title: "Search accounts", text: (one) => visible(one.name) } : null,
        columns: recounted ? recountedColumns(labels) : givenColumns(),
        more: () =>
          D.more.accounts
            ? h("span", {
                text: `${plural(D.more.accounts, "smaller account is", "smaller accounts are")} not in this page.`,
              })
            : "",
      });
      mount.replaceChildren(h("h3", { text: "Accounts" }), table.root, note);
    }
    table.restart(rows);
    note.textContent = recounted
      ? "Recounted for this filter; likes, detections and the top label are known for the whole report only."
      : "";
  };
}
const accountCell = (text) => {
  const i = ACCOUNTS_BY_NAME.get(text);
  return known(i)
    ? h(
        "button",
        {
          type: "button",
          class: "link",
          "aria-pressed": String(state.accounts.includes(i)),
          onclick: () => toggleAccount(i),
        },
        name(text, 40),
      )
    : name(text, 40);
};
const topLabel = (i) =>
  known(i) && i < NUM_LABELS ? h("span", { class: "labelled" }, swatch(i), labelName(i, 28)) : "–";

function givenColumns() {
  const any = (key) => D.accounts.some((one) => known(one[key]));
  return [
    { key: "name", title: "Account", value: (one) => visible(one.name), cell: (one) => accountCell(one.name) },
    {
      key: "units",
      title: UNIT.one === "account" ? "Count" : capital(UNIT.many),
      number: true,
      value: (one) => one.units,
      cell: (one) => count(one.units),
    },
    {
      key: "with",
      title: "With a find",
      number: true,
      class: "roomy",
      value: (one) => one.units_with / one.units,
      cell: (one) => (known(one.units_with) && one.units ? share(one.units_with / one.units) : "–"),
    },
    {
      key: "detections",
      title: "Detections",
      number: true,
      class: "roomy",
      value: (one) => one.detections,
      cell: (one) => count(one.detections),
    },
    any("likes") && {
      key: "likes",
      title: "Likes",
      number: true,
      class: "roomy",
      value: (one) => one.likes,
      cell: (one) => count(one.likes),
    },
    any("top_label") && {
      key: "top",
      title: "Most frequent",
      value: (one) => (known(one.top_label) ? visible(L.name[one.top_label]) : null),
      cell: (one) => topLabel(one.top_label),
    },
  ].filter(Boolean);
}
function recountedColumns(labels) {
  return [
    { key: "name", title: "Account", value: (one) => visible(one.name), cell: (one) => accountCell(one.name) },
    {
      key: "units",
      title: capital(UNIT.many),
      number: true,
      value: (one) => one.units,
      cell: (one) => count(one.units),
    },
    ...labels.map((i) => ({
      key: `label${i}`,
      title: plainLabel(i, 22),
      number: true,
      value: (one) => (one.units ? one.found.get(i) / one.units : null),
      cell: (one) => [
        one.units ? share(one.found.get(i) / one.units) : "–",
        h("span", { class: "second", text: `${count(one.found.get(i))}` }),
      ],
    })),
  ];
}
function countedAccounts(view, labels) {
  const rows = ACCOUNT_NAMES.map((one) => ({ name: one, units: 0, found: new Map(labels.map((i) => [i, 0])) }));
  for (let k = 0; k < CUBE.baseUnits.length; k++)
    if (view.inside(CUBE.baseAccount[k], CUBE.baseBin[k])) rows[CUBE.baseAccount[k]].units += CUBE.baseUnits[k];
  for (let k = 0; k < CUBE.label.length; k++) {
    const row = rows[CUBE.account[k]];
    if (row.found.has(CUBE.label[k]) && view.inside(CUBE.account[k], CUBE.bin[k]))
      row.found.set(CUBE.label[k], row.found.get(CUBE.label[k]) + CUBE.units[k]);
  }
  return rows.filter((row) => row.units);
}

function groupTable(mount, rows, title, id, key) {
  const called = (one) => (id === "folders" && !one.name ? "(top folder)" : one.name);
  const most = Math.max(1, ...rows.map((one) => one.units ?? 0));
  const table = dataTable({
    id,
    rows,
    start: "-units",
    pageSize: 10,
    caption: (n) => plural(n, key.toLowerCase(), title.toLowerCase()),
    columns: [
      { key: "name", title: key, value: (one) => visible(called(one)), cell: (one) => name(called(one), 40) },
      {
        key: "bar",
        title: "Bar",
        class: "bars",
        hidden: true,
        cell: (one) => bar((one.units ?? 0) / most, null, null, 1),
      },
      {
        key: "units",
        title: capital(UNIT.many),
        number: true,
        value: (one) => one.units,
        cell: (one) => count(one.units),
      },
      {
        key: "top",
        title: "Most frequent",
        class: "roomy",
        value: (one) => (known(one.top_label) ? visible(L.name[one.top_label]) : null),
        cell: (one) => topLabel(one.top_label),
      },
    ],
  });
  const note = h("p", { class: "note" });
  mount.append(h("h3", { text: title }), table.root, note);
  return (view) => {
    table.update(rows);
    note.textContent =
      view.cut || view.labels.length ? "Of the whole report: not kept by label, account and time." : "";
  };
}

// Posts as cards. Without a filter the best of each label by turns, so that the first label does not fill the page.
const FIRST_POSTS = NARROW ? 4 : 6;
function postsSection(mount) {
  const options = { by: "best", shown: FIRST_POSTS };
  const select = h(
    "select",
    { "aria-label": "Order of posts" },
    [
      ["best", "Best examples first"],
      ["likes", "Most liked first"],
      ["new", "Newest first"],
      ["old", "Oldest first"],
    ].map(([value, text]) => h("option", { value, text })),
  );
  select.addEventListener("change", () => {
    options.by = select.value;
    options.shown = FIRST_POSTS;
    draw();
  });
  const cards = h("div", { class: "cards posts" });
  const foot = h("div", { class: "pager" });
  mount.append(h("div", { class: "toolbar" }, h("span", { class: "soft", text: "Order:" }), select), cards, foot);
  let view = null;
  function draw() {
    const posts = chosenPosts(view, options.by);
    const pictures = posts.map((k) => D.posts[k].picture).filter(known);
    cards.replaceChildren(...posts.slice(0, options.shown).map((k) => postCard(D.posts[k], pictures)));
    if (!posts.length)
      cards.append(
        h("p", { class: "note", text: `None of the ${count(D.posts.length)} that this page holds match the filter.` }),
      );
    const left = posts.length - options.shown;
    foot.replaceChildren(
      left > 0
        ? button(moreOf(12, left), () => {
            options.shown += 12;
            draw();
          })
        : "",
      h("span", {
        text: `${count(Math.min(options.shown, posts.length))} of ${count(posts.length)} in this page${D.more.posts ? `; ${count(D.more.posts)} more were counted` : ""}`,
      }),
    );
  }
  return (next) => {
    view = next;
    options.shown = FIRST_POSTS;
    draw();
  };
}
function chosenPosts(view, by) {
  const chosen = new Set(view.labels);
  const passes = (k) =>
    D.posts[k] &&
    postPasses(view, D.posts[k]) &&
    (!chosen.size || (D.posts[k].labels ?? []).some(([i]) => chosen.has(i)));
  const labels = view.labels.length
    ? view.labels
    : Object.keys(D.details)
        .map(Number)
        .sort((a, b) => a - b);
  const tops = labels.map((i) => D.details[i]?.top ?? []);
  const seen = new Set();
  for (let rank = 0; rank < Math.max(0, ...tops.map((top) => top.length)); rank++)
    for (const top of tops) if (rank < top.length) seen.add(top[rank]);
  if (by !== "best" || !seen.size) D.posts.forEach((_, k) => seen.add(k));
  const posts = [...seen].filter(passes);
  const last = (value) => (known(value) ? value : -1);
  if (by === "likes") posts.sort((a, b) => last(D.posts[b].likes) - last(D.posts[a].likes));
  if (by === "new") posts.sort((a, b) => (D.posts[b].time ?? "").localeCompare(D.posts[a].time ?? ""));
  if (by === "old") posts.sort((a, b) => (D.posts[a].time ?? "9").localeCompare(D.posts[b].time ?? "9"));
  return posts;
}
function postCard(post, pictures) {
  const found = (post.labels ?? []).map(([i]) => i);
  return h(
    "article",
    { class: "card post" },
    known(post.picture) && D.pictures[post.picture] ? thumb(post.picture, pictures) : null,
    h(
      "div",
      { class: "words" },
      h(
        "p",
        { class: "byline" },
        known(post.account) ? h("b", {}, name(post.account, 32)) : null,
        known(post.time) ? h("span", { text: moment(post.time) }) : null,
        known(post.likes) ? h("span", { text: plural(post.likes, "like", "likes") }) : null,
      ),
      post.text ? h("p", { class: "excerpt" }, prose(shortened(post.text, 240))) : null,
      found.length ? h("p", { class: "found" }, listOf(found)) : null,
      post.url
        ? h(
            "p",
            { class: "found" },
            link(post.url, safeLink(post.url) ? "Open the post" : shortened(visible(post.url), 60)),
          )
        : null,
    ),
  );
}
