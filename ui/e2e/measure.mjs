// Figures of a page: how soon it is there, how long an input takes to be seen, how busy its main thread is, and what it
// keeps in memory. Times on a shared machine are noisy, so that each is printed as it is and compared with its aim times
// KAPELLE_UI_SLACK (4 by default; 1 on a quiet machine asks for the aims themselves).
import assert from "node:assert/strict";

const SLACK = Number(process.env.KAPELLE_UI_SLACK ?? 4);

/** Prints a figure beside its aim, and fails when it is above the aim and the slack. `noise`: what an idle page has. */
export function within(t, name, figure, aim, unit = "ms", noise = 0) {
  const most = Math.max(aim, noise) * SLACK;
  const idle = noise > 0 ? `, an idle page has ${round(noise)}` : "";
  t.diagnostic(`${name}: ${round(figure)} ${unit} (aim ${aim}, limit ${round(most)}${idle})`);
  assert.ok(figure <= most, `${name}: ${figure} ${unit}; expected at most ${most}`);
}

const round = (figure) => Math.round(figure * 10) / 10;

export function quantile(figures, share) {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** Time to the largest contentful paint of the page that is loaded. */
export function largestPaint(page) {
  return page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const watch = new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime));
        watch.observe({ type: "largest-contentful-paint", buffered: true });
        setTimeout(() => reject(new Error("no contentful paint was reported")), 10_000);
      }),
  );
}

/** Begins to note how long each interaction takes to be seen; the function it returns reads them. */
export async function interactions(page) {
  await page.evaluate(() => {
    window.interactions = new Map();
    new PerformanceObserver((list) => {
      for (const one of list.getEntries()) {
        if (!one.interactionId) continue;
        const had = window.interactions.get(one.interactionId);
        if (!had || had.ms < one.duration)
          window.interactions.set(one.interactionId, { name: one.name, ms: one.duration });
      }
    }).observe({ type: "event", durationThreshold: 16 });
  });
  return () => page.evaluate(() => [...window.interactions.values()]);
}

/** Times between drawn frames while an element scrolls by 60 px in each; of an idle page without a `selector`. */
export function frames(page, selector, count) {
  return page.evaluate(
    async ([what, most]) => {
      const element = what ? document.querySelector(what) : null;
      const took = [];
      let last = await new Promise(requestAnimationFrame);
      for (let at = 1; at <= most; at += 1) {
        if (element) element.scrollTop = at * 60;
        const now = await new Promise(requestAnimationFrame);
        took.push(now - last);
        last = now;
      }
      return took;
    },
    [selector, count],
  );
}

/**
 * Notes the tasks of a page's main thread until the returned function is called, which gives their times in ms. They
 * are times of the processor: a task that waited for other programs is not longer for it.
 */
export async function mainThread(chrome, page) {
  const session = await chrome.newBrowserCDPSession();
  const tasks = [];
  let pid;
  session.on("Tracing.dataCollected", ({ value }) => {
    for (const one of value) {
      if (one.name === "kapelle measured") pid = one.pid;
      if (one.name === "RunTask" && one.ph === "X" && one.pid === one.tid) tasks.push(one);
    }
  });
  await session.send("Tracing.start", {
    transferMode: "ReportEvents",
    traceConfig: { includedCategories: ["disabled-by-default-devtools.timeline", "blink.user_timing"] },
  });
  await page.evaluate(() => performance.mark("kapelle measured"));
  return async () => {
    const ended = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
    await session.send("Tracing.end");
    await ended;
    await session.detach();
    const own = tasks.filter((one) => one.pid === pid).map((one) => (one.tdur ?? one.dur) / 1_000);
    assert.ok(own.length > 0, "no task of the page was recorded");
    return own;
  };
}

/** Bytes of the page's objects that are left after a collection of garbage. */
export async function heap(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}
