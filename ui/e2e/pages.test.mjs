// Every page, in light and dark and at three widths: nothing for axe to find, no report of the CSP, no request to another
// host, no sideways scroll, no control too small to hit.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { blemishes, browser, serve, settle, sideways, signedIn, small } from "./bed.mjs";
import { fill, places } from "./sample.mjs";

let server, chrome, made;

before(async () => {
  server = await serve();
  made = await fill(server);
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await server?.stop();
});

for (const colorScheme of ["light", "dark"]) {
  test(`all pages are clean in ${colorScheme}`, { timeout: 300_000 }, async () => {
    const tab = await signedIn(chrome, server, { colorScheme });
    const wrong = [];
    for (const [name, path] of places(made)) {
      await tab.open(path);
      for (const one of await blemishes(tab.page)) wrong.push(`${name}: ${one}`);
      for (const one of await small(tab.page)) wrong.push(`${name}: small: ${one}`);
      for (const one of tab.faults.splice(0)) wrong.push(`${name}: ${one}`);
    }
    await tab.close();
    assert.deepEqual(wrong, []);
  });
}

test("no page scrolls sideways at 1440, 768 and 360 pixels, nor at 400 percent", { timeout: 300_000 }, async () => {
  const tab = await signedIn(chrome, server);
  const wrong = [];
  for (const [name, path] of places(made)) {
    await tab.page.setViewportSize({ width: 1440, height: 900 });
    await tab.open(path);
    for (const width of [1440, 768, 360, 320]) {
      await tab.page.setViewportSize({ width, height: 800 });
      await settle(tab.page);
      let over = await sideways(tab.page);
      if (over > 0) {
        // A run that goes on changes its drawing for a frame or two; what stays is wrong.
        await settle(tab.page);
        over = await sideways(tab.page);
      }
      if (over > 0) wrong.push(`${name} is ${over} px wider than ${width} px`);
    }
  }
  await tab.close();
  assert.deepEqual(wrong, []);
});

test("a page needs few requests", { timeout: 300_000 }, async () => {
  const tab = await signedIn(chrome, server);
  const many = [];
  for (const [name, path] of places(made)) {
    await tab.open("/runs");
    const asked = [];
    const note = (request) => request.url().includes("/api/") && asked.push(new URL(request.url()).pathname);
    tab.page.on("request", note);
    await tab.open(path);
    tab.page.off("request", note);
    if (asked.length > 9) many.push(`${name}: ${asked.length}: ${asked.join(" ")}`);
  }
  await tab.close();
  assert.deepEqual(many, []);
});
