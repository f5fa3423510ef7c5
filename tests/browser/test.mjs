// Opens each report in headless Chromium and looks at it as a reader would: wide and narrow, dark and light, by
// keyboard, with every request refused and counted.
//
//   npm ci && node test.mjs FILE...
//
// CHROMIUM names the browser when it is not found; SHOTS the folder for screenshots (default: shots/ beside this file).

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("usage: node test.mjs FILE...");
  process.exit(2);
}

const candidates = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
const executablePath = candidates.find((path) => path && existsSync(path));
if (!executablePath) {
  console.error("no Chromium found: install one, or name it in CHROMIUM");
  process.exit(2);
}
const shots = process.env.SHOTS ?? join(dirname(fileURLToPath(import.meta.url)), "shots");
mkdirSync(shots, { recursive: true });

let passed = 0;
let failed = 0;
const check = (claim, holds, detail = "") => {
  if (holds) {
    passed += 1;
    console.log(`ok      ${claim}`);
  } else {
    failed += 1;
    console.log(`FAILED  ${claim}${detail === "" ? "" : `: ${detail}`}`);
  }
};

// What a page said and asked for while it was open.
const watch = async (context, url) => {
  const page = await context.newPage();
  const complaints = [];
  const requests = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog opened: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    const asked = request.url();
    if (asked.split("#")[0] !== url && !asked.startsWith("blob:") && !asked.startsWith("data:")) requests.push(asked);
  });
  await page.goto(url, { waitUntil: "load" });
  return { page, complaints, requests };
};

const luminance = (page) =>
  page.evaluate(() => {
    const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number);
    return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
  });

// Smallest contrast of any text with what is behind it, by the WCAG formula.
const weakestContrast = (page) =>
  page.evaluate(() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const parse = (colour) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => {
      const part = (value) => {
        const share = value / 255;
        return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      };
      return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    };
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = parse(getComputedStyle(at).backgroundColor);
        if (colour[3] === 255) return colour;
      }
      return [255, 255, 255, 255];
    };
    let worst = { ratio: 21, words: "" };
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const words = walker.currentNode.textContent.trim();
      const element = walker.currentNode.parentElement;
      if (!words || element.closest("script, style, svg") || !element.getClientRects().length) continue;
      const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < worst.ratio) worst = { ratio, words: words.slice(0, 40) };
    }
    return worst;
  });

const noScroll = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

const byKeyboard = async (page, name) => {
  const nCharts = await page.locator("svg.chart:has(.spot)").count();
  if (nCharts === 0) return;
  const reached = new Set();
  let spoken = "";
  for (let press = 0; press < 400 && reached.size < nCharts; press += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const spot = document.activeElement;
      if (!spot?.classList.contains("spot")) return null;
      const charts = [...document.querySelectorAll("svg.chart:has(.spot)")];
      return { chart: charts.indexOf(spot.closest("svg")), words: document.getElementById("tip").textContent };
    });
    if (at) {
      reached.add(at.chart);
      spoken = at.words;
    }
  }
  check(`${name}: the keyboard reaches a point of each of ${nCharts} charts`, reached.size === nCharts, `${reached.size}`);
  check(`${name}: a focused point says its value`, /\n.*\d/.test(spoken), spoken);
  const several = await page.evaluate(() => document.activeElement.closest("svg").querySelectorAll(".spot").length > 1);
  if (several) {
    await page.keyboard.press("ArrowRight");
    const next = await page.evaluate(() => document.getElementById("tip").textContent);
    check(`${name}: an arrow key moves to the next point`, next !== spoken && next !== "", next);
  }
};

const stressMap = async (page, name) => {
  const cell = page.locator(".heat tbody td").first();
  if ((await cell.count()) === 0) return;
  await cell.focus();
  const first = await page.locator("#cell").textContent();
  check(`${name}: a cell of the stress map tells its reading`, first.startsWith("layer 1"), first);
  if ((await page.locator(".heat tbody tr").first().locator("td").count()) > 1) {
    await page.keyboard.press("ArrowRight");
    const next = await page.locator("#cell").textContent();
    check(`${name}: arrow keys move on the stress map`, next.startsWith("layer 2"), next);
  }
  const slider = page.locator(".scrubber input");
  if ((await slider.count()) > 0) {
    const before = await page.locator("#cell").textContent();
    await slider.fill("0");
    const after = await page.locator("#cell").textContent();
    check(`${name}: the stress map follows the scrubber`, before !== after, after);
    const curves = () => page.locator("figure[data-about] path.now").evaluateAll((all) => all.map((path) => path.getAttribute("d")));
    const drawn = (await curves()).filter((curve) => curve.length > 0).length;
    check(`${name}: the pictures follow the scrubber`, drawn > 0, drawn);
    await slider.fill(await slider.getAttribute("max"));
    const left = (await curves()).filter((curve) => curve.length > 0).length;
    check(`${name}: the last step is drawn once`, left === 0, left);
    await slider.fill("0");
  }
};

const sorting = async (page, name) => {
  const button = page.locator("table.sortable thead button").first();
  if ((await button.count()) === 0) return;
  const numbers = () => page.locator("table.sortable tbody tr td:first-child").allTextContents();
  await button.click();
  await button.click();
  const sorted = (await numbers()).map(Number);
  check(`${name}: the layer table sorts`, sorted.every((n, at) => at === 0 || sorted[at - 1] >= n), sorted.join(" "));
};

const downloads = async (page, name) => {
  for (const [id, extension] of [["save-json", "json"], ["save-csv", "csv"]]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator(`#${id}`).click()]);
    const words = readFileSync(await download.path(), "utf8");
    const isWhole = extension === "json" ? JSON.parse(words).schema === "carnot.report/1" : words.startsWith("source,step");
    check(`${name}: ${extension} is downloaded whole`, isWhole && download.suggestedFilename().endsWith(extension));
  }
};

const links = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll("a[href]")]
      .map((link) => link.getAttribute("href"))
      .filter((href) => !href.startsWith("#") || !document.getElementById(href.slice(1))),
  );

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] });
try {
  for (const file of files) {
    const path = resolve(file);
    const name = basename(path, ".html");
    const url = pathToFileURL(path).href;
    const size = readFileSync(path).length;
    check(`${name}: smaller than 2 MB`, size < 2_000_000, `${size}`);
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ colorScheme, viewport: { width: 1200, height: 900 } });
      const { page, complaints, requests } = await watch(context, url);
      const light = await luminance(page);
      check(`${name}: ${colorScheme} follows the system`, colorScheme === "dark" ? light < 0.2 : light > 0.8, `${light}`);
      const weakest = await weakestContrast(page);
      check(`${name}: ${colorScheme} text has a contrast of 4.5`, weakest.ratio >= 4.5, JSON.stringify(weakest));
      await page.screenshot({ path: join(shots, `${name}-${colorScheme}.png`), fullPage: true });
      if (colorScheme === "light") {
        check(`${name}: the first heading is the answer`, (await page.locator("h1").count()) === 1);
        await byKeyboard(page, name);
        await stressMap(page, name);
        await sorting(page, name);
        await downloads(page, name);
        const broken = await links(page);
        check(`${name}: every link leads to a place in the file`, broken.length === 0, broken.join(" "));
      }
      check(`${name}: ${colorScheme} without a complaint`, complaints.length === 0, complaints.join(" | "));
      check(`${name}: ${colorScheme} without a request`, requests.length === 0, requests.join(" "));
      await context.close();
    }
    const context = await browser.newContext({ viewport: { width: 400, height: 800 }, hasTouch: true });
    const { page, complaints } = await watch(context, url);
    const over = await noScroll(page);
    check(`${name}: 400 pixels need no sideways scrolling`, over <= 0, `${over} too wide`);
    check(`${name}: narrow without a complaint`, complaints.length === 0, complaints.join(" | "));
    await page.screenshot({ path: join(shots, `${name}-narrow.png`), fullPage: true });
    await page.emulateMedia({ media: "print" });
    await page.setViewportSize({ width: 760, height: 1000 });
    await page.screenshot({ path: join(shots, `${name}-print.png`), fullPage: true });
    await context.close();
  }
} finally {
  await browser.close();
}
console.log(`\nscreenshots in ${shots}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
