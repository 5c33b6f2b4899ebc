// Numbers, moments and foreign text as a reader wants to see them: the same rules as words.py.
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const UNSEEN = /[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
const THOUSANDS = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

const known = (value) => value !== null && value !== undefined;

function visible(text, keepLines = false) {
  const shown = String(text ?? "").replace(UNSEEN, (c) => {
    if (keepLines && (c === "\n" || c === "\t")) return c;
    return `⟨U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
  return shown.trim() ? shown : "(no name)";
}

// By code points, so that no emoji is cut in half.
function shortened(text, length) {
  if (text.length <= length) return text;
  const points = [...text];
  return points.length <= length ? text : points.slice(0, length - 1).join("") + "…";
}

const count = (n) => (known(n) ? THOUSANDS.format(n) : "–");
const moreOf = (step, left, what = "") =>
  left > step ? `Show ${count(step)} more of ${count(left)}${what}` : `Show the other ${count(left)}${what}`;
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

function share(fraction) {
  if (!known(fraction)) return "–";
  if (fraction > 0 && fraction < 0.001) return "<\u00a00.1\u00a0%";
  if (fraction >= 0.9995 && fraction < 1) return ">\u00a099.9\u00a0%";
  return (fraction === 0 ? "0" : fraction === 1 ? "100" : (100 * fraction).toFixed(1)) + "\u00a0%";
}

function interval(low, high) {
  if (!known(low) || !known(high)) return "–";
  const digits = high < 0.01 ? 2 : 1;
  return `${(100 * low).toFixed(digits)} to ${(100 * high).toFixed(digits)}`;
}

// A difference of shares in points, with its sign.
function points(difference) {
  if (!known(difference)) return "–";
  const text = Math.abs(100 * difference).toFixed(1);
  return text === "0.0" ? text : (difference < 0 ? "−" : "+") + text;
}

const score = (value) => (known(value) ? value.toFixed(2) : "–");

// Never through Date: the text is in the report's time zone, and Date would turn it into the reader's.
function moment(time) {
  const found = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d:\d\d))?/.exec(time ?? "");
  if (!found || +found[2] < 1 || +found[2] > 12) return time ? visible(time) : "–";
  const day = `${+found[3]} ${MONTHS[found[2] - 1]} ${found[1]}`;
  return found[4] ? `${day}, ${found[4]}` : day;
}
const day = (time) => moment(time).split(",")[0];

// Seconds of a video: 75.25 -> 1:15.3
function clock(seconds, tenths = true) {
  if (!known(seconds)) return "–";
  const all = tenths ? Math.round(seconds * 10) / 10 : Math.round(seconds);
  const hours = Math.floor(all / 3600);
  const minutes = Math.floor((all % 3600) / 60);
  const rest = (all % 60).toFixed(tenths ? 1 : 0).padStart(tenths ? 4 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

const fileName = (path) => visible(path).split(/[\\/]/).pop() || visible(path);

// A link only if it is relative, a file or http(s); null for all else (javascript:, data:, //host ...), which is text.
function safeLink(href) {
  if (typeof href !== "string") return null;
  const link = href.replace(/[\x00-\x20\x7f]/g, "");
  if (!link || /^[\\/]{2}/.test(link)) return null;
  const scheme = /^([^/?#]*?):/.exec(link);
  if (scheme && !/^(https?|file)$/i.test(scheme[1])) return null;
  // Spaces inside a path are kept; the trap is only in what the browser would drop before the scheme.
  return href.trim();
}
