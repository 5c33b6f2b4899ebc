// Puts the sections to work: labels at once, the rest in pauses, so that the page answers before all of it is drawn.
const SECTIONS = {
  labels: labelsSection,
  parents: parentsSection,
  time: trendSection,
  who: whoSection,
  pictures: picturesSection,
  posts: postsSection,
  videos: videosSection,
  comparison: comparisonSection,
  together: togetherSection,
  places: placesSection,
  thresholds: thresholdsSection,
};
const updates = new Map();
let currentView = null;
let pending = [];
// Thumbs stand behind this script in the file: what shows them waits until the browser has read them.
let loaded = document.readyState !== "loading";
const afterLoading = (task) => (loaded ? task() : addEventListener("DOMContentLoaded", task, { once: true }));
addEventListener("DOMContentLoaded", () => {
  loaded = true;
});

function mounted(id) {
  const mount = document.querySelector(`[data-mount="${id}"]`);
  if (!mount) return null;
  if (!updates.has(id)) updates.set(id, SECTIONS[id](mount));
  return updates.get(id);
}
// Draws a section anew; who stood in it with the keyboard still stands there afterwards.
function redraw(id) {
  const held = document.activeElement;
  try {
    mounted(id)?.(currentView);
  } catch (error) {
    // One section that fails takes no other with it.
    console.error(`section ${id}`, error);
  }
  if (held.isConnected || held === document.body) return;
  const mount = document.querySelector(`[data-mount="${id}"]`);
  if (!mount) return;
  const same = held.id
    ? $(held.id)
    : [...mount.querySelectorAll(held.tagName)].find(
        (one) => one.className === held.className && one.textContent === held.textContent,
      );
  same?.focus({ preventScroll: true });
}
function drawNext() {
  const id = pending.shift();
  if (id) redraw(id);
  if (pending.length) setTimeout(drawNext);
  else {
    document.documentElement.dataset.drawn = "all";
    performance.mark("ovdet-drawn");
    showInIdleTime();
  }
}

function setUpTheme() {
  const root = document.documentElement;
  const themes = ["system", "light", "dark"];
  const write = () => {
    $("theme").textContent = `Theme: ${root.dataset.theme ?? "system"}`;
  };
  $("theme").addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme ?? "system") + 1) % themes.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("ovdet-theme", next);
    } catch {
      /* it then lasts for this visit */
    }
    write();
  });
  write();
}
function setUpContents() {
  for (const item of document.querySelectorAll('.contents a, .answer a[href^="#"]')) {
    item.addEventListener("click", (event) => {
      event.preventDefault();
      const id = item.getAttribute("href").slice(1);
      choose({ at: id }, true);
      $(id).scrollIntoView();
      const heading = $(`${id}-title`);
      heading.tabIndex = -1;
      heading.focus({ preventScroll: true });
    });
  }
}

// The contents mark the section that is being read.
function followReading() {
  const items = new Map(
    [...document.querySelectorAll(".contents a")].map((item) => [item.getAttribute("href").slice(1), item]),
  );
  const observer = new IntersectionObserver(
    (entries) => {
      const reading = entries.filter((one) => one.isIntersecting).at(-1)?.target.id;
      if (reading)
        items.forEach((item, id) =>
          id === reading ? item.setAttribute("aria-current", "true") : item.removeAttribute("aria-current"),
        );
    },
    { rootMargin: "-20% 0px -75%" },
  );
  items.forEach((_, id) => observer.observe($(id)));
}

function start() {
  setUpTheme();
  setUpContents();
  followReading();
  setUpRecord();
  const drawFilters = NUM_LABELS && (CUBE || NUM_LABELS > 1) ? filterBar() : null;
  let first = true;
  listeners.push((filterChanged) => {
    if (filterChanged) {
      currentView = withTests(recut(state));
      const said = drawFilters?.(currentView);
      if (!first) say(said || "No filter: the whole report");
      const waiting = pending.length > 0;
      pending = Object.keys(SECTIONS);
      delete document.documentElement.dataset.drawn;
      redraw(pending.shift());
      if (!waiting) afterLoading(() => setTimeout(drawNext));
    }
    afterLoading(followRecord);
    first = false;
  });
  addEventListener("popstate", followHash);
  addEventListener("beforeprint", showAll);
  Object.assign(state, readHash());
  // Also an empty report has a filter that was never drawn.
  drawnFilter = null;
  announce();
  if (state.at) $(state.at)?.scrollIntoView();
  performance.mark("ovdet-ready");
}
start();
