// A real server in a folder of its own, a signed-in browser, and what no page may do: reports of the CSP, requests to
// other hosts, errors of scripts.
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Starts a server. `files`: what its folder holds, by path; `folder`: one of a server before. */
export async function serve({ files = {}, folder: had, listen = "127.0.0.1:0", env: more = {}, args = [] } = {}) {
  const folder = had ?? mkdtempSync(join(tmpdir(), "kapelle-ui-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    if (typeof text === "string") writeFileSync(join(folder, path), text);
    else cpSync(text.copy, join(folder, path), { recursive: true });
  }
  const env = { ...process.env, RUN_WORKERS: "false", ...more };
  for (const name of ["OPENAI_API_KEY", "OPENAI_BASE_URL", "KAPELLE_DATA", "KAPELLE_TOKEN", "KAPELLE_URL"]) {
    if (!(name in more)) delete env[name];
  }
  const child = spawn(process.env.KAPELLE, ["serve", "--listen", listen, ...args], { cwd: folder, env });
  let said = "";
  child.stderr.on("data", (part) => {
    said = (said + part).slice(-20_000);
  });
  const address = await new Promise((resolve, reject) => {
    let text = "";
    child.on("exit", (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
    child.stdout.on("data", (part) => {
      text += part;
      const line = /^listening=(.*)$/m.exec(text);
      if (line) resolve(line[1]);
    });
  });
  const token = readFileSync(join(folder, ".kapelle/token"), "utf8").trim();
  const url = `http://${address}`;
  /** Asks as a program does, without the headers of a browser. */
  const ask = async (method, path, body, key = token) => {
    const headers = { authorization: `Bearer ${key}`, ...(body ? { "content-type": "application/json" } : {}) };
    const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
    return { status: answer.status, body: await answer.json().catch(() => null) };
  };
  /** A run that was started and, with `end`, has ended. */
  const run = async (source, inputs = {}, end = true) => {
    const started = await ask("POST", "/api/v1/runs", { source, inputs });
    if (started.status !== 201) throw new Error(JSON.stringify(started.body));
    const { id } = started.body;
    if (end) await ask("GET", `/api/v1/runs/${id}?wait_ms=60000`);
    return id;
  };
  const kill = async () => {
    child.removeAllListeners("exit");
    const ended = new Promise((resolve) => child.on("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  };
  const stop = async () => {
    await kill();
    rmSync(folder, { recursive: true, force: true });
  };
  return { url, address, token, folder, ask, run, kill, stop };
}

export async function browser() {
  const made = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
  });
  if (process.env.KAPELLE_UI_DIST) instead(made, process.env.KAPELLE_UI_DIST);
  return made;
}

const KINDS = { js: "text/javascript", css: "text/css", svg: "image/svg+xml", html: "text/html" };

/** Has all contexts of a browser take the console from a folder, with the headers that the server gives its own. */
function instead(chrome, folder) {
  const make = chrome.newContext.bind(chrome);
  chrome.newContext = async (options) => {
    const context = await make(options);
    await context.route(/\/ui\//, async (route) => {
      const { pathname, origin } = new URL(route.request().url());
      const own = join(folder, pathname.slice("/ui/".length));
      const path = /\.\w+$/.test(pathname) && existsSync(own) ? own : join(folder, "index.html");
      const { headers } = await fetch(`${origin}/ui/`);
      const contentType = KINDS[path.split(".").at(-1)];
      const policy = { "content-security-policy": headers.get("content-security-policy") };
      await route.fulfill({ body: readFileSync(path), headers: { ...policy, "content-type": contentType } });
    });
    return context;
  };
}

/** A signed-in page that notes what pages may not do in `faults`. */
export async function signedIn(chrome, server, { width = 1440, height = 900, colorScheme = "light", key } = {}) {
  const context = await chrome.newContext({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
  await context.addInitScript({ content: axe });
  const faults = [];
  await context.exposeBinding("kapelleFault", (_, text) => faults.push(text));
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      window.kapelleFault(
        `CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`,
      );
    });
  });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(`error: ${error}`));
  page.on("request", (request) => {
    const asked = request.url();
    if (!asked.startsWith(server.url) && !/^(blob|data):/.test(asked)) faults.push(`request to ${asked}`);
  });
  if (key) {
    await page.addInitScript(
      (given) => sessionStorage.getItem("kapelle.token") ?? sessionStorage.setItem("kapelle.token", given),
      key,
    );
    await page.goto(`${server.url}/ui/`);
  } else {
    const { body, status } = await server.ask("POST", "/api/v1/sessions/codes");
    if (status !== 201) throw new Error(`no code: ${status} ${JSON.stringify(body)}`);
    await page.goto(server.url + body.path);
  }
  await page.waitForSelector("nav[aria-label='Pages'], nav[aria-label='Main pages']", { state: "attached" });
  const open = async (path) => {
    await page.goto(`${server.url}/ui${path}`);
    await settle(page);
  };
  return { page, context, faults, open, close: () => context.close() };
}

/** Waits until a page has its heading and nothing on it is still loading. */
export async function settle(page) {
  await page.waitForSelector("main h1");
  await page.waitForFunction(
    () => ![...document.querySelectorAll("main [role=status]")].some((one) => one.textContent?.startsWith("Loading")),
    undefined,
    { timeout: 10_000 },
  );
}

/** What axe finds wrong with a page, in words. */
export async function blemishes(page) {
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { resultTypes: ["violations"] });
    return result.violations.flatMap((one) =>
      one.nodes.map(
        (node) =>
          `${one.id}: ${node.html.slice(0, 160)} (${node.failureSummary?.split("\n").slice(1).join(" ").trim().slice(0, 200)})`,
      ),
    );
  });
  return found;
}

/** How far a page is wider than its window. */
export function sideways(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** Controls that are smaller than 24 pixels, but for links within text and what is not shown. */
export function small(page) {
  return page.evaluate(() => {
    const found = [];
    for (const one of document.querySelectorAll("button, input, select, summary")) {
      const box = one.getBoundingClientRect();
      if (box.width === 0 || box.height === 0) continue;
      const label = one.closest("label");
      const around = label ? label.getBoundingClientRect() : box;
      const target = one.closest("[role=cell], [role=columnheader]")?.getBoundingClientRect() ?? around;
      const height = Math.max(box.height, around.height, one.type === "checkbox" ? target.height : 0);
      if (height < 23.5)
        found.push(
          `${one.tagName} ${one.getAttribute("aria-label") ?? one.textContent}: ${Math.round(box.width)}x${Math.round(box.height)}`,
        );
    }
    return found;
  });
}
