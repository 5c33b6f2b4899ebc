// The payload and what follows from it: shares of any choice of accounts and time, recomputed from its cube.
const D = JSON.parse($("payload").textContent);
const L = D.labels;
const NUM_LABELS = L.name.length;
const UNIT = { one: visible(D.unit.one), many: visible(D.unit.many) };
const units = (n) => plural(n, UNIT.one, UNIT.many);
const FEW = 30; // units in a bin below which a share says little: the 95 % interval of 30 is up to 34 points wide
const Z = 1.959964;

const labelName = (i, length) => name(L.name[i], length);
const plainLabel = (i, length = 60) => shortened(visible(L.name[i]), length);
const swatch = (i) =>
  s("svg", { class: "swatch", "aria-hidden": "true" }, s("circle", { cx: 5, cy: 5, r: 5, fill: ink(L.colour[i]) }));
const LABELS_BY_NAME = new Map(L.name.map((text, i) => [text, i]));

function wilson(x, n) {
  if (!n) return [null, null];
  const p = x / n;
  const scale = 1 + (Z * Z) / n;
  const half = (Z * Math.sqrt((p * (1 - p)) / n + (Z * Z) / (4 * n * n))) / scale;
  const mid = (p + (Z * Z) / (2 * n)) / scale;
  return [Math.max(0, mid - half), Math.min(1, mid + half)];
}

const BINS = D.bins && D.bins.starts?.length ? D.bins : null;
const NUM_BINS = BINS ? BINS.starts.length : 0;
const SIZE = BINS?.size ?? "day";
const CUBE = readCube(D.cube);

function readCube(cube) {
  if (!cube || !cube.label || !cube.base_units) return null;
  const typed = (key) => Int32Array.from(cube[key] ?? []);
  const read = {
    accounts: cube.accounts ?? [],
    label: typed("label"),
    account: typed("account"),
    bin: typed("bin"),
    units: typed("units"),
    baseAccount: typed("base_account"),
    baseBin: typed("base_bin"),
    baseUnits: typed("base_units"),
    has: new Uint8Array(NUM_LABELS),
    num: 0,
  };
  for (const label of read.label) read.has[label] = 1;
  // Sums over accounts and time are counts of units only if each unit lies in one cell. Where units are accounts they
  // do not, and a filtered share would be wrong: it is then left out, and the page says so.
  read.total = read.baseUnits.reduce((a, b) => a + b, 0);
  read.adds = !D.totals.units || read.total === D.totals.units;
  return read;
}

// Local time as text sorts like time, so days are compared as they are written.
const binOf = (time) => {
  if (!BINS || !time) return -1;
  let low = 0;
  let high = NUM_BINS - 1;
  if (time.slice(0, 16) < BINS.starts[0].slice(0, 16)) return -1;
  while (low < high) {
    const mid = (low + high + 1) >> 1;
    if (BINS.starts[mid].slice(0, 16) <= time.slice(0, 16)) low = mid;
    else high = mid - 1;
  }
  return low;
};
const stamp = (bin) => BINS.starts[bin].slice(0, SIZE === "hour" ? 16 : 10);
const binTitle = (bin) => {
  const start = BINS.starts[bin];
  if (SIZE === "hour") return moment(start);
  if (SIZE === "month") return `${MONTHS[start.slice(5, 7) - 1] ?? ""} ${start.slice(0, 4)}`;
  return (SIZE === "week" ? "week of " : "") + day(start);
};
// A day chosen lies in the bin that holds it: the first whose end is after it, and the last that begins by then.
function binRange(from, to) {
  if (!BINS || (!from && !to)) return null;
  let first = 0;
  while (from && first < NUM_BINS - 1 && stamp(first + 1) <= from) first++;
  let last = NUM_BINS - 1;
  while (to && last > 0 && stamp(last).slice(0, to.length) > to) last--;
  return [Math.min(first, last), Math.max(first, last)];
}

const ACCOUNT_NAMES = CUBE ? CUBE.accounts.map((one) => one ?? "(no account)") : [];
const ACCOUNTS_BY_NAME = new Map(ACCOUNT_NAMES.map((text, i) => [text, i]));
const OTHERS = ACCOUNTS_BY_NAME.get("(others)") ?? -1;
const accountOf = (post) =>
  known(post.account) ? (ACCOUNTS_BY_NAME.get(post.account) ?? OTHERS) : (ACCOUNTS_BY_NAME.get("(no account)") ?? -1);

// What a filter leaves: `share(i)`, `interval(i)`, `units(i)` of a label, the base, and whether it was recomputed.
function recut(filter) {
  const range = binRange(filter.from, filter.to);
  const accounts = new Set(filter.accounts);
  const cut = Boolean(range || accounts.size);
  const view = {
    cut,
    range,
    accounts,
    base: D.totals.units,
    possible: !cut || Boolean(CUBE?.adds),
    labels: filter.labels,
    without: 0,
  };
  if (!cut || !view.possible) return { ...view, ...uncut() };
  const inside = (account, bin) =>
    (!accounts.size || accounts.has(account)) && (!range || (bin >= range[0] && bin <= range[1]));
  const found = new Float64Array(NUM_LABELS);
  for (let k = 0; k < CUBE.label.length; k++)
    if (inside(CUBE.account[k], CUBE.bin[k])) found[CUBE.label[k]] += CUBE.units[k];
  view.base = 0;
  for (let k = 0; k < CUBE.baseUnits.length; k++) {
    if (inside(CUBE.baseAccount[k], CUBE.baseBin[k])) view.base += CUBE.baseUnits[k];
    else if (range && CUBE.baseBin[k] < 0 && (!accounts.size || accounts.has(CUBE.baseAccount[k])))
      view.without += CUBE.baseUnits[k];
  }
  view.inside = inside;
  view.has = (i) => CUBE.has[i] === 1;
  view.units = (i) => (view.has(i) ? found[i] : null);
  view.share = (i) => (view.has(i) && view.base ? found[i] / view.base : null);
  view.interval = (i) => (view.has(i) ? wilson(found[i], view.base) : [null, null]);
  return view;
}
const uncut = () => ({
  inside: () => true,
  has: () => true,
  units: (i) => L.units[i],
  share: (i) => L.share[i],
  interval: (i) => [L.low[i], L.high[i]],
});

// Units of a label and of all by time bin, for the accounts of a view.
function overTime(view, label) {
  const found = new Float64Array(NUM_BINS);
  const base = new Float64Array(NUM_BINS);
  const chosen = (account) => !view.accounts.size || view.accounts.has(account);
  for (let k = 0; k < CUBE.label.length; k++)
    if (CUBE.label[k] === label && CUBE.bin[k] >= 0 && chosen(CUBE.account[k])) found[CUBE.bin[k]] += CUBE.units[k];
  for (let k = 0; k < CUBE.baseUnits.length; k++)
    if (CUBE.baseBin[k] >= 0 && chosen(CUBE.baseAccount[k])) base[CUBE.baseBin[k]] += CUBE.baseUnits[k];
  return { found, base };
}

// Does a post, or a picture by its post, pass the filter of accounts and time? What has no post cannot be told.
function postPasses(view, post) {
  if (!view.cut) return true;
  if (!post) return false;
  return view.accountsPass(post) && view.timePasses(post);
}
function withTests(view) {
  view.accountsPass = (post) => !view.accounts.size || view.accounts.has(accountOf(post));
  view.timePasses = (post) => {
    if (!view.range) return true;
    const bin = binOf(post.time);
    return bin >= view.range[0] && bin <= view.range[1];
  };
  return view;
}
const postOf = (picture) => (known(picture.post) ? D.posts[picture.post] : null);

// Thumbs come after the script in the file, so they are read when the first one is needed.
let thumbLines = null;
function thumbSource(index) {
  if (!known(index)) return null;
  thumbLines ??= ($("thumbs")?.textContent ?? "").split("\n");
  const text = thumbLines[index];
  if (!text) return null;
  return `data:image/${text.startsWith("UklGR") ? "webp" : text.startsWith("iVBOR") ? "png" : "jpeg"};base64,${text}`;
}
