// Pictures of every page at 1440, 768 and 360 pixels, light and dark, into the folder SHOTS.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { browser, serve, sideways, signedIn } from "./bed.mjs";
import { fill, places } from "./sample.mjs";

const folder = process.env.SHOTS || new URL("../shots/", import.meta.url).pathname;
mkdirSync(folder, { recursive: true });
const server = await serve();
const chrome = await browser();
try {
  const made = await fill(server);
  for (const width of [1440, 768, 360]) {
    for (const colorScheme of ["light", "dark"]) {
      const tab = await signedIn(chrome, server, { width, height: width < 500 ? 780 : 900, colorScheme });
      for (const [name, path] of places(made)) {
        await tab.open(path);
        if (name.includes("graph")) await tab.page.waitForSelector(".react-flow__node");
        if (name === "monitor") await tab.page.waitForSelector("main canvas");
        await tab.page.waitForTimeout(250);
        const over = await sideways(tab.page);
        if (over > 0) console.log(`${name} is ${over} px wider than ${width} px`);
        await tab.page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`) });
      }
      for (const fault of tab.faults) console.log(fault);
      await tab.close();
    }
  }
} finally {
  await chrome.close();
  await server.stop();
}
console.log(`pictures are in ${folder}`);
