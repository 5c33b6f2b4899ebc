// The bar that follows the reader: labels, accounts, time; what it leaves is said in words.

// A search box over many names, of which several can be chosen (the combobox pattern of ARIA 1.2).
function picker({ id, title, names, chosen, toggle, write, most = 60 }) {
  let folded = null; // made when first asked for: 21,000 names take a while
  const list = h("ul", {
    role: "listbox",
    id: `${id}-list`,
    "aria-label": title,
    "aria-multiselectable": "true",
    class: "options",
    hidden: true,
  });
  const input = h("input", {
    id,
    type: "text",
    role: "combobox",
    "aria-expanded": "false",
    "aria-controls": `${id}-list`,
    "aria-autocomplete": "list",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "any",
  });
  let options = [];
  let active = -1;
  function open() {
    const wanted = input.value.trim().toLowerCase();
    folded ??= names.map((one) => visible(one).toLowerCase());
    options = [];
    for (let i = 0; i < names.length && options.length < most; i++) if (folded[i].includes(wanted)) options.push(i);
    list.replaceChildren(
      ...options.map((i, k) =>
        h(
          "li",
          {
            role: "option",
            id: `${id}-${k}`,
            "aria-selected": String(chosen().includes(i)),
            onpointerdown: (event) => {
              event.preventDefault();
              pick(k);
            },
          },
          write(i),
        ),
      ),
    );
    if (!options.length)
      list.append(
        h("li", { class: "none", role: "option", "aria-selected": "false", "aria-disabled": "true", text: "No match" }),
      );
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(Math.min(active, options.length - 1));
  }
  function close() {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }
  function mark(k) {
    list.querySelector(".active")?.classList.remove("active");
    active = k;
    if (k < 0) return input.removeAttribute("aria-activedescendant");
    list.children[k].classList.add("active");
    list.children[k].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", `${id}-${k}`);
  }
  function pick(k) {
    if (k < 0 || k >= options.length) return;
    toggle(options[k]);
    input.value = "";
    open();
  }
  input.addEventListener("input", () => {
    active = 0;
    open();
  });
  input.addEventListener("focus", () => open());
  input.addEventListener("click", () => list.hidden && open());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (moves[event.key]) {
      event.preventDefault();
      if (list.hidden) open();
      if (options.length) mark((active + moves[event.key] + options.length) % options.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (list.hidden) open();
      else pick(active);
    } else if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      close();
    }
  });
  return h("div", { class: "picker" }, h("label", { for: id, text: title }), input, list);
}

function filterBar() {
  const form = h("form", {
    class: "filters",
    role: "search",
    "aria-label": "Filter this report",
    onsubmit: (event) => event.preventDefault(),
  });
  const fields = h("div", { class: "fields" });
  fields.append(
    picker({
      id: "pick-labels",
      title: "Labels",
      names: L.name,
      chosen: () => state.labels,
      toggle: toggleLabel,
      write: (i) => [swatch(i), " ", labelName(i, 48), h("span", { class: "aside", text: share(L.share[i]) })],
    }),
  );
  if (ACCOUNT_NAMES.length > 1) {
    fields.append(
      picker({
        id: "pick-accounts",
        title: "Accounts",
        names: ACCOUNT_NAMES,
        chosen: () => state.accounts,
        toggle: toggleAccount,
        most: 200,
        write: (i) => name(ACCOUNT_NAMES[i], 48),
      }),
    );
  }
  let dates = null;
  if (NUM_BINS > 1 && CUBE) {
    const type = SIZE === "hour" ? "datetime-local" : "date";
    const field = (key, title) => {
      const input = h("input", {
        type,
        id: `pick-${key}`,
        min: stamp(0),
        max: SIZE === "hour" ? null : (D.totals.last?.slice(0, 10) ?? null),
      });
      input.addEventListener("change", () => choose({ [key]: input.value }));
      return [h("div", { class: "picker" }, h("label", { for: `pick-${key}`, text: title }), input), input];
    };
    dates = { from: field("from", "From"), to: field("to", "To") };
    fields.append(dates.from[0], dates.to[0]);
  }
  const result = h("p", { class: "result" });
  const chips = h("div", { class: "chips" });
  const copy = button("Copy link to this view", (event) => copyLink(event.currentTarget));
  fields.append(h("div", { class: "picker last" }, copy));
  const box = h(
    "details",
    { class: "filterbox", open: matchMedia("(min-width: 48rem)").matches },
    h("summary", { text: "Filter" }),
    fields,
  );
  form.append(box);
  // Not in the form: what was chosen stays in sight while one reads, the fields do not.
  const standing = h("div", { class: "standing", hidden: true }, chips, result);
  $("filters").append(form);
  $("filters").after(standing);

  return (view) => {
    if (dates) for (const key of ["from", "to"]) dates[key][1].value = state[key];
    const chip = (text, title, undo) =>
      h(
        "button",
        { type: "button", class: "chip", onclick: undo, "aria-label": `Remove ${title}` },
        text,
        h("span", { "aria-hidden": "true", text: " ✕" }),
      );
    const chosen = [
      ...state.labels.map((i) =>
        chip([swatch(i), " ", labelName(i, 30)], `label ${plainLabel(i, 40)}`, () => toggleLabel(i)),
      ),
      ...state.accounts.map((i) =>
        chip(name(ACCOUNT_NAMES[i], 30), `account ${shortened(visible(ACCOUNT_NAMES[i]), 40)}`, () => toggleAccount(i)),
      ),
    ];
    if (view.range) chosen.push(chip(rangeText(view.range), "time range", () => choose({ from: "", to: "" })));
    if (chosen.length)
      chosen.push(
        h("button", {
          type: "button",
          class: "chip clear",
          text: "Clear all",
          onclick: () => choose({ labels: [], accounts: [], from: "", to: "" }),
        }),
      );
    const held = chips.contains(document.activeElement) ? [...chips.children].indexOf(document.activeElement) : -1;
    chips.replaceChildren(...chosen);
    // A chip that was removed hands the focus to the next one, the last one to the search box.
    if (held >= 0) (chips.children[Math.min(held, chips.children.length - 1)] ?? $("pick-labels")).focus();
    chips.hidden = !chosen.length;
    standing.hidden = !chosen.length;
    result.replaceChildren(...resultOf(view));
    result.hidden = !result.childNodes.length;
    return result.textContent;
  };
}
const rangeText = (range) => {
  const last = range[1] + 1 < NUM_BINS || SIZE !== "day" ? binTitle(range[1]) : day(BINS.starts[range[1]]);
  return range[0] === range[1] ? binTitle(range[0]) : `${binTitle(range[0])} to ${last}`;
};

// The filter's answer in one sentence, and what it cannot say.
function resultOf(view) {
  if (!view.cut && !view.labels.length) return [];
  if (!view.possible) {
    return [
      h("b", { text: "Shares cannot be recomputed for this filter. " }),
      CUBE
        ? `Counted are ${UNIT.many}, and one ${UNIT.one} can post at several times: the figures below stay those of the whole report; pictures and posts follow the filter.`
        : "This page holds no counts by account and time: the figures below stay those of the whole report; pictures and posts follow the filter.",
    ];
  }
  const parts = [];
  if (view.cut) {
    parts.push(h("b", { text: units(view.base) }), D.totals.units ? ` of ${count(D.totals.units)} match` : " match");
    if (view.without) parts.push(` (${units(view.without)} without a time are left out)`);
  }
  const labels = view.labels.slice(0, 4);
  if (labels.length) {
    parts.push(parts.length ? ": " : "");
    labels.forEach((i, k) => {
      const [low, high] = view.interval(i);
      parts.push(
        k ? "; " : "",
        h("b", {}, labelName(i, 40)),
        known(view.share(i)) ? ` in ${share(view.share(i))} (${interval(low, high)})` : " not kept by account and time",
      );
    });
    if (view.labels.length > 4) parts.push(`; and ${view.labels.length - 4} more`);
  }
  if (view.cut && view.base > 0 && view.base < FEW)
    parts.push(`. That is few: read shares of fewer than ${FEW} ${UNIT.many} with care`);
  return [...parts, "."];
}
