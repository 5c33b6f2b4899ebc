// Elements. Text of a feed reaches the page through textContent and attributes alone, never as markup.
// A phone shows less at once: its reader scrolls through all of it to reach the next section.
const NARROW = matchMedia("(max-width: 48rem)").matches;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

function build(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "text") element.textContent = value;
    else if (key === "css") for (const [name, one] of Object.entries(value)) element.style.setProperty(name, one);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
const h = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

// Foreign text on one line, isolated in its direction; the whole of a long one in the title.
function name(text, length = 60) {
  const whole = visible(text);
  const shown = shortened(whole, length);
  return h("bdi", { class: "name", title: shown === whole ? null : whole, text: shown });
}
// A path runs from left to right whatever its script, so that its ending stays at its end.
function path(text, length = 400) {
  const element = name(text, length);
  element.dir = "ltr";
  return element;
}
const prose = (text) => h("bdi", { class: "text", text: visible(text, true) });

function link(href, content, attributes) {
  const safe = safeLink(href);
  if (!safe) return h("span", attributes, content);
  return h("a", { ...attributes, href: safe, target: "_blank", rel: "noopener noreferrer" }, content);
}

const button = (text, onclick, attributes) =>
  h("button", { type: "button", class: "quiet", onclick, ...attributes }, text);

function disclosure(title, make) {
  const details = h("details", {}, h("summary", { text: title }));
  // The table is made when it is first asked for: most readers look at the chart.
  details.addEventListener("toggle", () => details.children.length < 2 && details.append(make()));
  return details;
}

// Two words a chart needs: the colour of a label against paper and against night, at least 3 : 1 in both.
const inks = new Map();
function ink(colour) {
  if (!inks.has(colour)) {
    const rgb = /^#[0-9a-f]{6}$/i.test(colour ?? "")
      ? [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16))
      : [136, 136, 136];
    const day = `rgb(${reached(rgb, 0, 0.965, 3.3)})`;
    inks.set(
      colour,
      CSS.supports("color", "light-dark(red, blue)")
        ? `light-dark(${day}, rgb(${reached(rgb, 255, 0.009, 3.6)}))`
        : day,
    );
  }
  return inks.get(colour);
}
// The colour, moved towards black (0) or white (255) until its contrast with a paper of that luminance is enough.
function reached(rgb, end, paper, contrast) {
  for (let step = 0; step < 1; step += 0.05) {
    const mixed = rgb.map((v) => Math.round(v + (end - v) * step));
    const own = luminance(mixed);
    if ((Math.max(own, paper) + 0.05) / (Math.min(own, paper) + 0.05) >= contrast) return mixed;
  }
  return [end, end, end];
}
function luminance(rgb) {
  const [r, g, b] = rgb.map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// One small panel for what is under the pointer; the same facts are in the tables, so it is hidden from assistive tools.
const tip = {
  show(event, ...content) {
    const box = $("tip");
    box.replaceChildren(...content.flat());
    box.hidden = false;
    const at = event.clientX !== undefined && event.type !== "focus" ? event : middle(event.target);
    const { offsetWidth: width, offsetHeight: height } = box;
    const left = Math.min(Math.max(8, at.clientX - width / 2), innerWidth - width - 8);
    const above = at.clientY - height - 14;
    box.style.left = `${left}px`;
    box.style.top = `${above > 4 ? above : at.clientY + 18}px`;
  },
  hide() {
    $("tip").hidden = true;
  },
};
function middle(element) {
  const box = element.getBoundingClientRect();
  return { clientX: box.left + box.width / 2, clientY: box.top };
}

let saying = 0;
function say(text) {
  clearTimeout(saying);
  // A pause lets a screen reader finish what the key press itself made it say.
  saying = setTimeout(() => {
    $("said").textContent = text;
  }, 150);
}
