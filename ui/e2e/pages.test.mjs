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

/**
 * How far a page stays wider than its window, in px: the least of what it is until it fits or has had the time to. A page
 * that changes draws some frames before it fits again, and a busy machine makes them last.
 */
async function overhang(page) {
  let least = await sideways(page);
  for (const end = Date.now() + 5_000; least > 0 && Date.now() < end; ) {
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    least = Math.min(least, await sideways(page));
  }
  return least;
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
      const over = await overhang(tab.page);
      if (over > 0) wrong.push(`${name} is ${over} px wider than ${width} px`);
    }
  }
  await tab.close();
  assert.deepEqual(wrong, []);
});
