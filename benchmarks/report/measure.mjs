// How fast a report opens, and what axe-core finds in it, in headless Chromium. Use: see README.md.
//   node measure.mjs report.html [more.html ...]
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { statSync } from "node:fs";

const require = createRequire(process.cwd() + "/"); // the two packages are installed where one stands, not here
const puppeteer = require("puppeteer-core");
const axe = require("axe-core").source;
const SIZES = [
  [390, 844],
  [1280, 800],
  [1920, 1080],
  [320, 640],
];

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--headless=new"],
});

async function opened(file, [width, height], scheme = "light", hash = "") {
  const page = await browser.newPage();
  page.faults = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && page.faults.push(message.text()));
  page.on("pageerror", (error) => page.faults.push(error.message));
  const own = pathToFileURL(file).href;
  page.on(
    "request",
    (request) =>
      /^(data|blob):/.test(request.url()) ||
      request.url().startsWith(own) ||
      page.faults.push(`request ${request.url()}`),
  );
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: scheme },
    { name: "prefers-reduced-motion", value: "reduce" },
  ]);
  await page.goto(own + hash);
  await page.waitForFunction(() => document.documentElement.dataset.drawn === "all", { timeout: 30000 });
  return page;
}

async function times(file) {
  const page = await opened(file, [1280, 800]);
  const out = await page.evaluate(() => {
    const ready = performance.getEntriesByName("ovdet-ready")[0].startTime;
    const drawn = performance.getEntriesByName("ovdet-drawn")[0].startTime;
    const paint = performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
    return { "first paint": paint, ready, "all drawn": drawn, elements: document.getElementsByTagName("*").length };
  });
  await page.close();
  return out;
}

async function faultsOf(file, size, scheme, hash) {
  const page = await opened(file, size, scheme, hash);
  // The page's policy lets no foreign script in; the tool is put there past it.
  await page.evaluate(axe);
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) page.faults.push(`${wide} px wider than the window`);
  await page.close();
  return { console: page.faults, axe: result.violations };
}

for (const file of process.argv.slice(2)) {
  const runs = [];
  for (let k = 0; k < 5; k++) runs.push(await times(file));
  const middle = (key) => runs.map((run) => run[key]).sort((a, b) => a - b)[2];
  console.log(
    `${file}: ${(statSync(file).size / 1e6).toFixed(2)} MB; median of 5: ${Object.keys(runs[0])
      .map((key) => `${key} ${Math.round(middle(key))}`)
      .join(", ")} (ms)`,
  );
  for (const size of SIZES) {
    for (const scheme of ["light", "dark"]) {
      for (const hash of ["", "#picture=0"]) {
        const { console: said, axe: found } = await faultsOf(file, size, scheme, hash);
        const grave = found.filter((one) => ["serious", "critical"].includes(one.impact));
        console.log(
          `  ${size[0]} px, ${scheme}${hash ? ", record open" : ""}: ${grave.length} serious or critical, ${found.length - grave.length} lesser${said.length ? `; console: ${said.join(" | ")}` : ""}`,
        );
        for (const one of found)
          console.log(
            `    ${one.impact}: ${one.id} (${one.nodes.length}): ${one.nodes
              .slice(0, 3)
              .map((node) => node.html.slice(0, 110) + " " + (node.any[0]?.message ?? "").slice(0, 160))
              .join("\n        ")}`,
          );
      }
    }
  }
}
await browser.close();
