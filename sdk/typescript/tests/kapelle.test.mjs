// What needs no server. The rest is in ../../conformance.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Client, Host, NoGateway, NoToken, NotFound, Output, Problem, TaskError, Unavailable } from "../dist/index.js";
import { Context, Stop } from "../dist/context.js";
import { failure } from "../dist/failure.js";
import { find } from "../dist/place.js";
import { fail, succeed } from "../dist/report.js";
import { taskWire } from "../dist/model.js";
import { Parser } from "../dist/sse.js";
import { FakeContext, callWorker } from "../dist/testing.js";
import { Again, Broken, encode, refused } from "../dist/wire.js";

const claimed = {
  id: "task_1", attempt: 1, lease_token: "1.1.0", timeout_ms: 1000, last_attempt: false, worker: "w", input: null,
};
const context = (more = {}, stop = new Stop()) =>
  new Context({ ...claimed, ...more }, { url: "http://127.0.0.1:7863", token: "t" }, stop, () => undefined);

test("events come whole however the bytes are cut", () => {
  const data = '{"text":"a\u2028b\u0085 é"}';
  const text = `: alive\n\nid: 0\nevent: started\ndata: ${data}\n\nid: 1\r\ndata: x\r\ndata: y\r\n\r\n`;
  const bytes = new TextEncoder().encode(text);
  for (let size = 1; size < bytes.length; size++) {
    const parser = new Parser();
    const frames = [];
    for (let at = 0; at < bytes.length; at += size) frames.push(...parser.feed(bytes.subarray(at, at + size)));
    assert.deepEqual(frames, [{ id: "0", kind: "started", data }, { id: "1", kind: "message", data: "x\ny" }]);
  }
});

test("what may have been done is sent again only when that does no harm", () => {
  const post = { method: "POST", path: "/x", read: () => 0 };
  const cut = new Broken("cut", false);
  assert.equal(new Again(5_000).after(post, cut), undefined);
  assert.ok(new Again(5_000).after({ ...post, key: "k" }, cut) > 0);
  assert.ok(new Again(5_000).after({ ...post, method: "GET" }, cut) > 0);
  assert.ok(new Again(5_000).after(post, new Broken("refused", true)) > 0);
  assert.equal(new Again(0).after(post, new Broken("refused", true)), undefined);
  const stopping = new Unavailable({ status: 503, code: "unavailable", detail: "stopping", retryAfterMs: 2_000 });
  assert.equal(new Again(5_000).after(post, stopping), 2_000);
  assert.equal(new Again(1_000).after(post, stopping), undefined);
  assert.equal(new Again(5_000).after(post, new Problem({ status: 500, code: "internal", detail: "x" })), undefined);
});

test("the token of the folder goes to this machine alone", () => {
  const folder = mkdtempSync(join(tmpdir(), "kapelle-"));
  const before = process.cwd();
  const { KAPELLE_DATA, KAPELLE_TOKEN, KAPELLE_URL } = process.env;
  try {
    mkdirSync(join(folder, ".kapelle"));
    mkdirSync(join(folder, "a"));
    writeFileSync(join(folder, ".kapelle", "token"), "kap_1\n");
    writeFileSync(join(folder, ".kapelle", "address"), "http://127.0.0.1:4711\n42\n");
    for (const name of ["KAPELLE_DATA", "KAPELLE_TOKEN", "KAPELLE_URL"]) delete process.env[name];
    process.chdir(join(folder, "a"));
    assert.deepEqual([find().url, find().token], ["http://127.0.0.1:4711", "kap_1"]);
    assert.throws(() => find("http://example.org:7863"), NoToken);
  } finally {
    process.chdir(before);
    Object.assign(process.env, Object.fromEntries(Object.entries({ KAPELLE_DATA, KAPELLE_TOKEN, KAPELLE_URL }).filter(([, v]) => v)));
    rmSync(folder, { recursive: true });
  }
});

test("addresses and tokens that are none are refused", () => {
  for (const url of ["localhost:7863", "ftp://x", "http://", "http://h?x=1", "http://user@h"]) {
    assert.throws(() => find(url, "t"), /url: /, url);
  }
  assert.throws(() => find("http://h", "two\nlines"), /token: /);
  assert.match(refused("http://h", 404, { "content-type": "text/html" }, "<p>").message, /does not look like a Kapelle server/);
  assert.equal(JSON.stringify(new Client({ url: "http://127.0.0.1:1", token: "secret" })).includes("secret"), false);
});

test("functions are registered once, and there must be one", async () => {
  const host = new Host({ url: "http://127.0.0.1:1", token: "t" });
  assert.throws(() => host.worker("w", 5), /ctx, input/);
  host.worker("w", () => 1);
  assert.throws(() => host.worker("w", () => 1), /twice/);
  await assert.rejects(new Host({ token: "t" }).serve(), /serves no worker/);
  assert.throws(() => new Host({ slots: 0 }), /slots/);
});

test("errors have their categories", () => {
  const known = [
    [new TaskError("x", { category: "budget" }), "budget"],
    [Object.assign(new Error("x"), { status: 429 }), "rate_limited"],
    [Object.assign(new Error("x"), { status: 402, code: "budget" }), "budget"],
    [Object.assign(new TypeError("fetch failed"), { cause: { code: "ECONNREFUSED" } }), "unavailable"],
    [new DOMException("x", "TimeoutError"), "timeout"],
    [new NoGateway("x"), "model_required"],
    [new Error("x"), "internal"],
    ["text", "internal"],
  ];
  for (const [error, category] of known) assert.equal(failure(error).category, category);
  assert.equal(failure(Object.assign(new Error("x"), { headers: new Headers({ "retry-after": "7" }) })).retryAfterMs, 7_000);
  assert.throws(() => new TaskError("x", { category: "funny" }), /no `funny`/);
});

test("answers that cannot be sent are failures", () => {
  const endless = [];
  endless.push(endless);
  for (const answer of [NaN, { a: Infinity }, 5n, { f: () => 1 }, new Map(), endless]) {
    assert.equal(succeed({ token: "t", name: "n" }, answer).outcome, "fail");
  }
  assert.equal(succeed({ token: "t", name: "n" }, undefined).outcome, "succeed");
  assert.match(fail({ token: "t", name: "n" }, new TaskError("\ud800")).body, /\ufffd/);
  assert.throws(() => encode({ deep: { n: NaN } }), /`n` is NaN/);
});

test("a sleep ends when the attempt is not wanted any more", async () => {
  const stop = new Stop();
  const ctx = context({}, stop);
  const sleeping = assert.rejects(ctx.sleep(30_000), { name: "Cancelled" });
  stop.raise("not wanted");
  stop.raise("timeout");
  await sleeping;
  assert.equal(ctx.cancelReason, "not wanted");
  assert.throws(() => ctx.progress(1.5), RangeError);
});

test("the way to the gateway is that of the attempt", async () => {
  assert.throws(() => context().llmOptions, NoGateway);
  const ctx = context({ gateway_url: "/v1", gateway_token: "kt_1" });
  assert.deepEqual(ctx.llmOptions, { baseURL: "http://127.0.0.1:7863/v1", apiKey: "kt_1", maxRetries: 0 });
  await assert.rejects(ctx.llm(), /npm install openai/);
});

test("options that are not known are refused with their names here", async () => {
  const client = new Client({ url: "http://127.0.0.1:1", token: "t", retryForMs: 0 });
  const told = {
    attempts: /^attempts: unknown option of tasks.submit; use `retry: 5`/, backoff: /`retry: \{ delayMs/, jobId: /`idempotencyKey`/,
    removeOnComplete: /not available/, repeat: /`client.schedules.create/, cron: /`client.schedules.create/, countdown: /`delayMs`, in milliseconds/, eta: /`delayMs: eta/,
    expires: /`ttlMs`/, max_retries: /first attempt counts/, task_id: /`idempotencyKey`/, time_limit: /`timeoutMs`/, delay: /`delayMs`/,
    timeout: /`timeoutMs`, in milliseconds/, idempotency_key: /use `idempotencyKey`/, pirority: /did you mean `priority`/,
    rate_limit: /use `rate/, xyz: /expected some of queue, priority/, constructor: /expected some of/,
  };
  for (const [name, words] of Object.entries(told)) {
    await assert.rejects(client.tasks.submit("w", 1, { [name]: 1 }), (error) => error instanceof TypeError && words.test(error.message), name);
  }
  await assert.rejects(client.tasks.submit("w", 1, "high"), /options must be an object/);
  await assert.rejects(client.tasks.submitBatch([{ worker: "w" }, { worker: "w", attempts: 1 }]), /attempts: unknown option of tasks\[1\]/);
  await assert.rejects(client.tasks.submit("w", 1, { retry: { attempts: 3 } }), /attempts: .* use `maxAttempts`/);
  await assert.rejects(client.tasks.submit("w", 1, { retry: { backoff: 3 } }), /use `delayMs` and `multiplier`/);
  await assert.rejects(client.tasks.wait("task_1", { timeout: 1 }), /`timeoutMs`/);
  await assert.rejects(client.schedules.create("n", "1h", { worker: "w", input: 1 }), /use `inputs`/);
  await assert.rejects(client.schedules.create("n", "1h"), /name a workflow to run, or a worker/);
  await assert.rejects(client.tasks.list({ status: "ready" }), /state/);
  await assert.rejects(client.runs.start("w", { input: {} }), /use `inputs`/);
  assert.throws(() => new Host({ concurrency: 3 }), /concurrency: unknown option of new Host; use `slots`/);
  assert.throws(() => new Host({ connection: {} }), /`url` and `token`/);
  assert.throws(() => new Host().worker("w", () => 1, { concurrency: 3 }), /`slots` of `new Host/);
  assert.throws(() => new Host().worker("w", () => 1, { per_key: 1 }), /use `perKey`/);
  assert.throws(() => new Host().worker("w", () => 1, { perKey: { max: 1 } }), /max: unknown option of perKey/);
  assert.throws(() => new Host().worker("w", () => 1, { perKey: 0 }), /expected 1 or more/);
  assert.throws(() => new Host().worker("w", () => 1, { rateLimit: "1/s" }), /use `rate/);
  assert.throws(() => new Host().worker("w", () => 1, { rate: 60 }), /such as "60\/minute", got 60/);
  assert.throws(() => new Client({ uri: "x" }), /did you mean `url`/);
});

test("plain values stand for what they plainly mean", async () => {
  assert.deepEqual(JSON.parse(encode(taskWire("w", undefined, { retry: 3, requires: "gpu", deadline: "2030-01-01T00:00:00Z" }))), {
    worker: "w", input: null, retry: { max_attempts: 3 }, requires: ["gpu"], deadline: "2030-01-01T00:00:00Z",
  });
  assert.equal(taskWire("w", 1, { deadline: new Date(0) }).deadline, "1970-01-01T00:00:00.000Z");
  for (const retry of [0, -1, 1.5, NaN]) assert.throws(() => taskWire("w", 1, { retry }), /expected 1 \(no retry\) or more/);
  assert.throws(() => taskWire("w", 1, { deadline: 5 }), /deadline: expected a Date/);
  assert.throws(() => taskWire("w", 1, { requires: [1] }), /requires: /);
  new Host().worker("w", () => 1, { retry: 3, requires: "gpu" });
});

test("plain JSON is written as JSON.stringify writes it", () => {
  const date = new Date(0);
  for (const value of [null, 1, "é", [1, [undefined]], { a: { b: [true] }, u: undefined }, { date }, Object.create(null), new Date(0)]) {
    assert.equal(encode(value), JSON.stringify(value));
  }
  let deep = 1;
  for (let level = 0; level < 500; level++) deep = [deep];
  assert.equal(encode(deep), JSON.stringify(deep));
  assert.throws(() => encode([new (class { n = NaN; })()]), /`n` is NaN/);
  assert.throws(() => encode([undefined, new Set()]), /a Set/);
});

test("a worker's function can be called without a server", async () => {
  const host = new Host({ url: "http://127.0.0.1:1", token: "t" });
  host.worker("shout", async (ctx, input) => {
    ctx.progress(0.5, "half");
    await ctx.sleep(1);
    return new Output({ text: input.text.toUpperCase(), at: ctx.taskId, when: input.when });
  });
  const ctx = new FakeContext({ taskId: "task_7", attempt: 2, files: { "sha256:a": "hi" } });
  assert.deepEqual(await callWorker(host, "shout", { text: "a", when: new Date(0) }, ctx), {
    text: "A", at: "task_7", when: "1970-01-01T00:00:00.000Z",
  });
  assert.deepEqual(ctx.told, [{ done: 0.5, message: "half" }]);
  assert.equal(ctx.attempt, 2);
  assert.equal(new TextDecoder().decode(await ctx.file({ $file: "sha256:a" })), "hi");
  await assert.rejects(ctx.file("sha256:b"), NotFound);
  assert.throws(() => ctx.client, /pass \{ client \}/);
  assert.throws(() => ctx.gateway, NoGateway);
  assert.equal(await new FakeContext({ llm: "model" }).llm(), "model");
  ctx.cancel();
  assert.ok(ctx.signal.aborted && ctx.cancelled);
  assert.throws(() => ctx.check(), { name: "Cancelled" });
  await assert.rejects(callWorker(host, "shot"), /no worker `shot`/);
  assert.throws(() => new FakeContext({ task: "x" }), /task: unknown option/);
});
