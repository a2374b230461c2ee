// What the client programs of both sides share: reading commands, and pacing.

import { createInterface } from "node:readline";

/** Performs one command after another: lines of JSON in, lines of JSON out. */
export async function commands(rows) {
  console.log("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    const { row, ...given } = JSON.parse(line);
    console.log(JSON.stringify(await rows[row](given)));
  }
}

/** Repeats `one` a number of times, with that many under way at once. */
export async function repeat(times, atOnce, one) {
  let left = times;
  const loop = async () => {
    while (left-- > 0) await one();
  };
  await Promise.all(Array.from({ length: atOnce }, loop));
}

/** The seconds of submits and until `open` says that nothing is left. */
export async function submitted(submit, open) {
  const began = performance.now();
  await submit();
  const acknowledged = performance.now();
  while ((await open()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  return { submitted: (acknowledged - began) / 1000, ended: (performance.now() - began) / 1000 };
}

/** The milliseconds of `one`, that many times, one after the other. */
export async function timed(times, one) {
  const ms = [];
  for (let at = 0; at < times; at++) {
    const began = performance.now();
    await one();
    ms.push(performance.now() - began);
  }
  return { ms };
}

/** Calls `one(done)` at a steady rate. The milliseconds count from the moment at which a call was due. */
export async function steady({ rate, seconds }, one) {
  const total = Math.round(rate * seconds);
  const ms = [];
  const began = performance.now();
  await new Promise((resolve, reject) => {
    let sent = 0;
    const tick = () => {
      for (; sent < total && began + (sent * 1000) / rate <= performance.now(); sent++) {
        const due = began + (sent * 1000) / rate;
        const done = () => ms.push(performance.now() - due) === total && resolve();
        one(done).catch(reject);
      }
      if (sent < total) setTimeout(tick, 1);
    };
    tick();
  });
  return { ms, seconds: (performance.now() - began) / 1000 };
}
