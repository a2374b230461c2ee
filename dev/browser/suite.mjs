// A page of another origin in a browser on this machine can neither change nor read anything, even when it knows the
// token and has a ticket; people can read and use the pages for people, however they reach them.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { browser, foreign, serve } from "./bed.mjs";

const attack = readFileSync(new URL("attack.js", import.meta.url), "utf8");
const asks = `name: asks
steps:
  ask: { wait: { approval: 'Send the report?' } }
`;
let server, page, evil, chrome;

before(async () => {
  server = await serve();
  evil = await foreign(`<!doctype html><title>evil</title><body><script>${attack}</script>`);
  chrome = await browser();
});
after(async () => {
  await chrome?.stop();
  await evil?.stop();
  await server?.stop();
});

// A question that waits, and its link.
async function question() {
  const run = await server.ask("POST", "/api/v1/runs", { source: asks });
  assert.equal(run.status, 201, JSON.stringify(run));
  for (;;) {
    const { approvals } = (await server.ask("GET", "/api/v1/approvals")).body;
    const asked = approvals.find((one) => one.run === run.body.id);
    if (asked) return asked;
  }
}

// Tickets that open one stream each.
async function passes() {
  const made = [await server.ask("POST", "/api/v1/tickets"), await server.ask("POST", "/api/v1/tickets")];
  return made.map(({ body }) => body.ticket);
}

// Everything that a page could have changed.
async function state() {
  const of = async (path) => (await server.ask("GET", path)).body;
  const { tasks } = await of("/api/v1/tasks?limit=1000&steps=true");
  const { hosts } = await of("/workers/status");
  const [queues, keys, audit, runs] = [await of("/api/v1/queues"), await of("/api/v1/keys"), await of("/api/v1/audit"), await of("/api/v1/runs")];
  return JSON.stringify({ tasks, hosts: hosts.map((host) => host.id), queues, keys, audit, runs });
}

async function attacked(from, bases, mine) {
  const task = await server.ask("POST", "/api/v1/tasks", { worker: "log", input: { message: "mine" }, delay_ms: 3_600_000 });
  await server.ask("POST", "/api/v1/hosts", { name: "mine", workers: ["far"] });
  const { link } = await question();
  const tickets = await passes();
  const was = await state();
  page = await chrome.context.newPage();
  let asked = 0;
  page.on("request", (request) => (asked += bases.some((base) => request.url().startsWith(base)) ? 1 : 0));
  if (mine) {
    // The name led to the attacker's machine when the page was loaded, and leads here since.
    await page.route(from, (route) => route.fulfill({ contentType: "text/html", body: `<body><script>${attack}</script>` }));
  }
  await page.goto(from);
  const given = { bases, token: server.token, tickets, mine, id: task.body.id, link };
  const read = await page.evaluate((given) => attack(given), given);
  await page.close();
  assert.ok(asked > 20 * bases.length, `only ${asked} requests were made: the page did not attack`);
  assert.deepEqual(read, [], "a foreign page has read something");
  assert.equal(await state(), was, "a foreign page has changed something");
  return asked;
}

test("a page of another origin changes nothing and reads nothing", async (t) => {
  const bases = [`http://127.0.0.1:${server.port}`, `http://localhost:${server.port}`, `http://0.0.0.0:${server.port}`];
  t.diagnostic(`${await attacked(`http://evil.example:${evil.port}/`, bases, false)} requests`);
});

test("nor does one of this machine at another port", async (t) => {
  t.diagnostic(`${await attacked(`http://127.0.0.1:${evil.port}/`, [server.url], false)} requests`);
});

test("nor one whose name was bent to this machine after it was loaded", async (t) => {
  const base = `http://rebound.example:${server.port}`;
  t.diagnostic(`${await attacked(`${base}/`, [base], true)} requests`);
});

test("the attack itself works where it is let: the page of the server's own origin reads and changes", async () => {
  page = await chrome.context.newPage();
  await page.route(`${server.url}/own`, (route) => route.fulfill({ contentType: "text/html", body: `<body><script>${attack}</script>` }));
  await page.goto(`${server.url}/own`);
  const tickets = await passes();
  const was = await state();
  const given = { bases: [server.url], token: server.token, tickets, mine: true, id: "task_1", link: "/approve/x" };
  const read = await page.evaluate((given) => attack(given), given);
  await page.close();
  for (const part of ["with token cors", "with token same-origin", "WebSocket", "GET health"]) {
    assert.ok(read.some((line) => line.includes(part)), `${part} is not in ${JSON.stringify(read, null, 1)}`);
  }
  assert.notEqual(await state(), was);
  await server.ask("POST", "/api/v1/queues/default/resume");
});

test("a question is answered in the browser, also when its link stands in a mail read on the web", async (t) => {
  const { link, id } = await question();
  const mail = await foreign(`<a id="go" href="${server.url}${link}">answer</a>`);
  t.after(mail.stop);
  page = await chrome.context.newPage();
  await page.goto(`http://mail.example:${mail.port}/`);
  await page.click("#go");
  await page.waitForSelector("button[data-answer=yes]");
  await shots("question");
  await page.fill("#by", "Ada");
  await page.click("button[data-answer=yes]");
  await page.waitForFunction(() => document.getElementById("said").textContent.includes("Thank you"));
  await page.close();
  const { body } = await server.ask("GET", `/api/v1/tasks/${id}?wait_ms=20000`);
  assert.equal(body.state, "succeeded");
});

// Screenshots of the page at both widths and in both colours, and faults that a person would notice.
async function shots(name) {
  for (const [width, kind] of [[1280, "desktop"], [360, "phone"]]) {
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${name} is ${wide} px wider than a ${kind}`);
      const contrast = await page.evaluate(contrasts);
      assert.deepEqual(contrast, [], `${name}, ${kind}, ${colorScheme}: text that is hard to read`);
      if (process.env.SHOTS) {
        mkdirSync(process.env.SHOTS, { recursive: true });
        await page.screenshot({ path: `${process.env.SHOTS}/${name}-${kind}-${colorScheme}.png` });
      }
    }
  }
}

// Texts with less contrast than 4.5 to 1, as WCAG 2 computes it.
function contrasts() {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const over = (front, back) => front.slice(0, 3).map((value, at) => (value * front[3] + back[at] * (255 - front[3])) / 255);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color.slice(0, 3);
    }
    return rgba("Canvas").slice(0, 3);
  };
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()) || element.tagName === "SCRIPT") continue;
    const style = getComputedStyle(element);
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    const back = ground(element).map((value, _, all) => (dark && all.every((part) => part === 255) ? 18 : value));
    const color = rgba(style.color);
    color[3] *= opacity;
    const [a, b] = [light(over(color, back)), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)}: ${element.tagName} ${element.textContent.trim().slice(0, 30)}`);
  }
  return [...new Set(poor)].slice(0, 5);
}

test("the page of the interface can be read on a desk and on a phone, in light and in dark", async () => {
  page = await chrome.context.newPage();
  const answer = await page.goto(`${server.url}/docs`);
  assert.equal(answer.status(), 200);
  await shots("docs");
  const named = await page.evaluate(() => ({ lang: document.documentElement.lang, title: document.title, h1: document.querySelectorAll("h1").length, main: document.querySelectorAll("main").length }));
  assert.deepEqual(named, { lang: "en", title: "Kapelle: HTTP interface", h1: 1, main: 1 });
  await page.close();
});
