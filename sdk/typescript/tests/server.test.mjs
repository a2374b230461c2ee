// Against the real server, as users test their own workers. KAPELLE_BINARY is the program.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { connect, createServer } from "node:net";
import { after, before, test } from "node:test";

import { Client, Conflict, Forbidden, Host, NotFound, TaskFailed, WaitTimeout } from "../dist/index.js";
import { TestServer } from "../dist/testing.js";

const skip = process.env.KAPELLE_BINARY ? false : "KAPELLE_BINARY names no server";
let server;
let client;

before(async () => {
  if (skip) return;
  server = await TestServer.start();
  client = server.client();
  await server.serve((host) => {
    host.worker("double", (_, input) => input * 2, { input: { type: "integer" } });
    host.worker("echo", (_, input) => input);
    host.worker("nap", async (ctx, input) => {
      await ctx.sleep(input);
      return input;
    });
    host.worker("parent", async (ctx) => {
      const child = await ctx.client.tasks.submit("double", 21, { idempotencyKey: `${ctx.taskId}/child` });
      return { answer: (await ctx.client.tasks.wait(child)).result(), task: ctx.taskId, run: ctx.runId ?? null };
    });
    host.worker("bad", () => {
      throw new Error("bad");
    }, { retry: 1 });
  }, { slots: 20 });
});
after(() => server?.close());

test("a host is ready when its workers are known", { skip }, async () => {
  const host = new Host({ url: server.url, token: server.token, log: () => undefined }).worker("ready", () => "yes");
  const serving = host.serve();
  await host.ready;
  assert.equal((await client.tasks.wait(await client.tasks.submit("ready"))).result(), "yes");
  host.stop();
  await serving;
  const refused = new Host({ url: server.url, token: "wrong", log: () => undefined }).worker("x", () => 1);
  await Promise.all([assert.rejects(refused.serve()), assert.rejects(refused.ready, { name: "Unauthorized" })]);
});

test("many submits at once: each its task or its refusal", { skip }, async () => {
  const inputs = Array.from({ length: 200 }, (_, n) => (n % 50 === 7 ? "no number" : n));
  const found = await Promise.allSettled(inputs.map((input) => client.tasks.submit("double", input)));
  const good = found.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
  assert.deepEqual(found.flatMap(({ status }, n) => (status === "rejected" ? [n] : [])), [7, 57, 107, 157]);
  for (const { reason } of found) if (reason) assert.equal(reason.name, "InvalidInput");
  const ended = await client.tasks.waitAll(good, { timeoutMs: 30_000 });
  assert.deepEqual(ended.map((task) => task.result()), inputs.filter((input) => typeof input === "number").map((n) => n * 2));
});

test("connections that are cut lose and double no task", { skip }, async (t) => {
  // Cuts every third connection: before the request arrives, or when its answer is on the way.
  let connections = 0;
  let cuts = 0;
  const port = Number(new URL(server.url).port);
  const proxy = createServer((near) => {
    const kind = ++connections % 6;
    const far = connect(port, "127.0.0.1");
    const cut = () => {
      if (!near.destroyed) cuts += 1;
      near.destroy();
      far.destroy();
    };
    near.on("error", cut);
    far.on("error", cut);
    near.on("close", () => far.destroy());
    let answers = 0;
    near.on("data", (data) => (kind === 0 ? cut() : far.write(data)));
    far.on("data", (data) => (kind === 3 || ++answers > 5 ? cut() : near.write(data)));
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  t.after(() => proxy.close());
  const through = new Client({ url: `http://127.0.0.1:${proxy.address().port}`, token: server.token, retryForMs: 20_000 });
  const total = 300;
  const ids = new Set();
  let left = total;
  const work = async () => {
    while (left-- > 0) ids.add((await through.tasks.submit("echo", { left }, left % 7 ? {} : { group: "g" })).id);
  };
  await Promise.all(Array.from({ length: 10 }, work));
  assert.ok(cuts > 10, `${cuts} cuts`);
  assert.equal(ids.size, total);
  const known = new Set();
  for await (const task of (await client.tasks.list({ worker: "echo", limit: 100 })).all()) known.add(task.id);
  assert.deepEqual(known, ids);
});

test("ends come as they come", { skip }, async () => {
  const slow = await client.tasks.submit("nap", 400);
  const quick = await client.tasks.submit("nap", 10);
  const order = [];
  for await (const task of client.tasks.asCompleted([slow, quick.id, quick])) order.push(task.id);
  assert.deepEqual(order, [quick.id, slow.id]);
  const bad = await client.tasks.submit("bad");
  const [one, two] = await client.tasks.waitAll([bad, quick]);
  assert.throws(() => one.result(), TaskFailed);
  assert.equal(one.attempt, 1);
  assert.equal(two.result(), 10);
  const long = await client.tasks.submit("nap", 60_000);
  await assert.rejects(client.tasks.waitAll([quick, long], { timeoutMs: 100 }), WaitTimeout);
  for await (const task of client.tasks.asCompleted([long, quick])) {
    assert.equal(task.id, quick.id);
    break;
  }
  await client.tasks.cancel(long.id);
});

test("a worker may submit with the rights of its host's key", { skip }, async () => {
  const task = await client.tasks.submit("parent");
  assert.equal(task.worker, "parent");
  assert.deepEqual((await client.tasks.wait(task)).result(), { answer: 42, task: task.id, run: null });
  const made = await fetch(`${server.url}/api/v1/keys`, {
    method: "POST", headers: { authorization: `Bearer ${server.token}`, "content-type": "application/json" },
    body: JSON.stringify({ name: "w", role: "worker" }),
  });
  const { secret: token } = await made.json();
  const host = new Host({ url: server.url, token, log: () => undefined });
  let seen;
  host.worker("weak", (ctx) => ctx.client.tasks.submit("double", 1).catch((error) => void (seen = error)));
  const serving = host.serve();
  await host.ready;
  await client.tasks.wait(await client.tasks.submit("weak"));
  assert.ok(seen instanceof Forbidden);
  host.stop();
  await serving;
});

test("every list is a page", { skip }, async () => {
  const lists = [
    client.tasks.list(), client.runs.list(), client.workers.list(), client.queues.list(), client.schedules.list(), client.approvals.list(),
    client.dead.list(),
  ];
  for (const page of await Promise.all(lists)) assert.equal([...page].length, page.items.length);
  const source = JSON.stringify({ name: "one", steps: { a: { worker: "echo", with: { n: 8 } } } });
  const run = await client.runs.start(undefined, { source });
  assert.equal((await client.runs.waitAll([run]))[0].workflow, "one");
  const numbers = [];
  const journal = await client.runs.journal(run.id, { limit: 2 });
  for await (const entry of journal.all()) numbers.push(entry.seq);
  assert.deepEqual(numbers, numbers.map((_, at) => at));
  assert.ok(numbers.length > 2);
  assert.equal((await client.runs.steps(run.id)).items[0].result().n, 8);
});

test("a schedule is made, fired, paused and deleted", { skip }, async () => {
  const made = await client.schedules.create("hourly", "0 * * * *", {
    worker: "echo", inputs: { of: "${{ fire.schedule }}" }, timezone: "Europe/Berlin", overlap: "allow", jitterMs: 1_000,
  });
  assert.deepEqual([made.name, made.timezone, made.overlap, made.jitter_ms], ["hourly", "Europe/Berlin", "allow", 1_000]);
  await assert.rejects(client.schedules.create("hourly", "1h", { worker: "echo" }), Conflict);
  assert.equal((await client.schedules.create("hourly", "1h", { worker: "echo", inputs: { of: "${{ fire.schedule }}" }, replace: true })).cron, "1h");
  assert.equal((await client.schedules.next("hourly", 3)).length, 3);
  const fired = await client.schedules.fire("hourly");
  assert.deepEqual((await client.tasks.wait(fired.task)).result(), { of: "hourly" });
  assert.equal((await client.schedules.pause("hourly", "the source is moved")).paused_reason, "the source is moved (by token)");
  assert.equal((await client.schedules.resume("hourly")).paused, false);
  assert.equal((await client.schedules.get("hourly")).fires[0].task, fired.task);
  assert.deepEqual([...(await client.schedules.list())].map(({ name }) => name), ["hourly"]);
  await client.schedules.delete("hourly");
  await assert.rejects(client.schedules.get("hourly"), NotFound);
});

test("a server for a test is gone after it", { skip }, async () => {
  const own = await TestServer.start({ config: "queues: { mail: { slots: 2 } }\n" });
  assert.ok(existsSync(own.folder));
  assert.ok([...(await own.client().queues.list())].some(({ name }) => name === "mail"));
  await own.close();
  await own.close();
  assert.equal(existsSync(own.folder), false);
  await assert.rejects(own.client({ retryForMs: 0 }).health(), /refused/);
  await assert.rejects(TestServer.start({ binary: "/no/such/kapelle" }), /could not be started/);
  await assert.rejects(TestServer.start({ config: "listne: 1\n" }), /ended instead of listening/);
});
