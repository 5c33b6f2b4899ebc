// What the reader chose lives in the address: a copy of it shows another reader the same page.
const state = { labels: [], accounts: [], from: "", to: "", sort: {}, picture: null, at: "" };
const listeners = [];
let drawnFilter = "";

function readHash() {
  const raw = location.hash.slice(1);
  // "#labels" is a plain link to a section; everything else is a query.
  if (raw && !raw.includes("=")) return { ...blank(), at: raw };
  const query = new URLSearchParams(raw);
  const sort = {};
  for (const one of query.getAll("sort")) {
    const [table, key] = one.split(":");
    if (key) sort[table] = key;
  }
  const date = (key) => {
    const text = query.get(key) ?? "";
    if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d)?$/.test(text)) return "";
    return SIZE === "hour" ? text.slice(0, 10) + (text.slice(10) || "T00:00") : text.slice(0, 10);
  };
  const picture = query.get("picture");
  return {
    labels: indices(query.getAll("label"), LABELS_BY_NAME),
    accounts: indices(query.getAll("account"), ACCOUNTS_BY_NAME),
    from: date("from"),
    to: date("to"),
    sort,
    at: query.get("at") ?? "",
    picture: /^\d+$/.test(picture ?? "") && D.pictures[+picture] ? +picture : null,
  };
}
const blank = () => ({ labels: [], accounts: [], from: "", to: "", sort: {}, picture: null, at: "" });
const indices = (names, byName) => [...new Set(names.map((one) => byName.get(one)).filter(known))];

function hashOf(what) {
  const query = new URLSearchParams();
  for (const i of what.labels) query.append("label", L.name[i]);
  for (const i of what.accounts) query.append("account", ACCOUNT_NAMES[i]);
  if (what.from) query.set("from", what.from);
  if (what.to) query.set("to", what.to);
  for (const [table, key] of Object.entries(what.sort)) query.append("sort", `${table}:${key}`);
  if (known(what.picture)) query.set("picture", what.picture);
  if (what.at) query.set("at", what.at);
  return query.toString();
}

// `step`: the back button undoes it. A sort or a section only replaces the address.
function choose(changes, step = true) {
  Object.assign(state, changes);
  const hash = hashOf(state);
  if (hash !== location.hash.slice(1)) {
    const address = hash ? `#${hash}` : location.pathname + location.search;
    try {
      history[step ? "pushState" : "replaceState"](null, "", address);
    } catch {
      location.hash = hash; // a browser that forbids the history of files
    }
  }
  announce();
}
function announce() {
  const filter = JSON.stringify([state.labels, state.accounts, state.from, state.to]);
  const filterChanged = filter !== drawnFilter;
  drawnFilter = filter;
  for (const listener of listeners) listener(filterChanged);
}
function followHash() {
  Object.assign(state, readHash());
  announce();
  if (state.at) $(state.at)?.scrollIntoView();
}

function toggleLabel(i) {
  choose({ labels: state.labels.includes(i) ? state.labels.filter((one) => one !== i) : [...state.labels, i] });
}
function toggleAccount(i) {
  choose({ accounts: state.accounts.includes(i) ? state.accounts.filter((one) => one !== i) : [...state.accounts, i] });
}

async function copyLink(from) {
  const address = location.href;
  const done = () => {
    from.textContent = "Copied";
    say("Link copied");
    setTimeout(() => {
      from.textContent = "Copy link to this view";
    }, 1800);
  };
  try {
    await navigator.clipboard.writeText(address);
    done();
  } catch {
    // Pages from a file may have no clipboard: then the old way, and at last the link itself to copy by hand.
    const field = h("input", { readonly: true, "aria-label": "Link to this view" });
    field.value = address;
    from.after(field);
    field.select();
    if (document.execCommand?.("copy")) {
      field.remove();
      done();
    }
  }
}
