// How requests are sent, against a server that answers as each test wants.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";

import { Client, InvalidInput, TooLarge, Unauthorized, Unreachable } from "../dist/index.js";

/** Starts a server; `answer(request, body)` gives `{ status, body, headers }`, or `cut` to break the connection. */
async function serve(t, answer) {
  const asked = [];
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", async () => {
      const text = Buffer.concat(chunks).toString();
      const one = { method: request.method, path: request.url, headers: request.headers, body: text ? JSON.parse(text) : undefined };
      asked.push(one);
      const given = await answer(one, asked.length);
      if (given === "cut") return request.socket.destroy();
      const kind = given.status >= 400 ? "application/problem+json" : "application/json";
      response.writeHead(given.status, { "content-type": kind, ...given.headers });
      return response.end(typeof given.body === "string" ? given.body : JSON.stringify(given.body));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const client = new Client({ url: `http://127.0.0.1:${server.address().port}/under`, token: "t", retryForMs: 2_000 });
  return { asked, client };
}

let numbers = 0;
const made = ({ path, body }) =>
  path.endsWith("/batch")
    ? { status: 201, body: { ids: body.tasks.map(() => `task_${++numbers}`) } }
    : { status: 201, body: { id: `task_${++numbers}`, state: body.delay_ms ? "scheduled" : "ready", attempt: 0 } };
const refusal = (status, code, detail = code) => ({ status, body: { status, code, title: code, detail } });
const numbersOf = ({ body }) => (body.tasks ?? [body]).map((task) => task.input);
const submits = (client, inputs, options) => Promise.allSettled(inputs.map((input) => client.tasks.submit("w", input, options)));

test("submits of the same moment, and those during a request, travel together", async (t) => {
  let go;
  const held = new Promise((resolve) => (go = resolve));
  const { asked, client } = await serve(t, async (one, number) => {
    if (number === 1) await held;
    return made(one);
  });
  const first = submits(client, [1, 2]);
  while (asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const later = submits(client, [3, 4, 5]);
  go();
  const tasks = [...(await first), ...(await later)].map((one) => one.value);
  assert.deepEqual(asked.map(numbersOf), [[1, 2], [3, 4, 5]]);
  assert.equal(new Set(tasks.map((task) => task.id)).size, 5);
  for (const task of tasks) assert.deepEqual([task.worker, task.state, task.attempt], ["w", "ready", 0]);
  assert.notEqual(asked[0].headers["idempotency-key"], asked[1].headers["idempotency-key"]);
  assert.equal(asked[0].path, "/under/api/v1/tasks/batch");
});

test("what must go alone goes alone", async (t) => {
  const { asked, client } = await serve(t, made);
  const [a, b, c] = await Promise.all([
    client.tasks.submit("w", 1, { idempotencyKey: "k", queue: "q" }),
    client.tasks.submit("w", 2, { group: "g" }),
    client.tasks.submit("w", "x".repeat(100_000)),
    client.tasks.submit("w", 4, { delayMs: 5 }),
  ]);
  assert.equal(asked.length, 4);
  assert.ok(asked.every(({ path }) => path === "/under/api/v1/tasks"));
  assert.equal(a.queue, "q");
  assert.deepEqual([b.queue, c.queue], ["", ""]);
  assert.equal(asked.find(({ body }) => body.input === 1).headers["idempotency-key"], "k");
});

test("one task that is refused takes no other with it", async (t) => {
  const { asked, client } = await serve(t, (one) => {
    const bad = numbersOf(one).indexOf(6);
    if (bad < 0) return made(one);
    return refusal(422, "invalid_input", one.body.tasks ? `tasks[${bad}]: six` : "six");
  });
  const found = await submits(client, [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(found.map(({ status }) => status[0]), ["f", "f", "f", "f", "f", "r", "f", "f"]);
  assert.ok(found[5].reason instanceof InvalidInput);
  assert.equal(found[5].reason.detail, "six");
  assert.equal(new Set(asked.map(({ headers }) => headers["idempotency-key"])).size, asked.length);
  // Those that were made: each once.
  const good = asked.filter((one) => !numbersOf(one).includes(6)).flatMap(numbersOf);
  assert.deepEqual(good.sort(), [1, 2, 3, 4, 5, 7, 8]);
});

test("a refusal that holds for all is not asked for again", async (t) => {
  const { asked, client } = await serve(t, () => refusal(401, "unauthorized"));
  const found = await submits(client, [1, 2, 3]);
  assert.ok(found.every(({ reason }) => reason instanceof Unauthorized));
  assert.equal(asked.length, 1);
});

test("a lost answer is asked for again with the same key", async (t) => {
  const { asked, client } = await serve(t, (one, number) => (number === 1 ? "cut" : made(one)));
  const found = await submits(client, [1, 2, 3]);
  assert.ok(found.every(({ status }) => status === "fulfilled"));
  assert.equal(asked.length, 2);
  assert.equal(asked[0].headers["idempotency-key"], asked[1].headers["idempotency-key"]);
  assert.deepEqual(asked[0].body, asked[1].body);
});

test("after a lost answer a refused request is not split", async (t) => {
  const { asked, client } = await serve(t, (one, number) => (number === 1 ? "cut" : refusal(422, "unknown_worker")));
  const found = await submits(client, [1, 2, 3]);
  for (const { reason } of found) {
    assert.ok(reason instanceof Unreachable);
    assert.match(reason.message, /may have been submitted/);
  }
  assert.equal(asked.length, 2);
});

test("a request that is tried again makes no other wait", async (t) => {
  const { asked, client } = await serve(t, (one) => (numbersOf(one).includes(1) ? { ...refusal(503, "unavailable"), headers: { "retry-after": "1" } } : made(one)));
  const slow = submits(client, [1]);
  while (asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const began = performance.now();
  await client.tasks.submit("w", 2);
  assert.ok(performance.now() - began < 900);
  assert.equal((await slow)[0].status, "rejected");
});

test("redirects are not followed, and odd answers are told of", async (t) => {
  const answers = [
    { status: 302, body: "", headers: { location: "http://127.0.0.1:1/", "content-type": "text/html" } },
    { status: 200, body: "not JSON" },
    { status: 200, body: { ids: [] } },
  ];
  const { asked, client } = await serve(t, (_, number) => answers[number - 1]);
  await assert.rejects(client.tasks.submit("w"), /302.*does not look like a Kapelle server/);
  await assert.rejects(client.tasks.submit("w"), /not what was expected/);
  for (const { reason } of await submits(client, [1, 2])) assert.match(reason.message, /0 ids for 2 tasks/);
  assert.equal(asked.length, 3);
});

test("pages iterate, one after another", async (t) => {
  const { asked, client } = await serve(t, ({ path }) => {
    const last = path.includes("cursor=c");
    return { status: 200, body: { tasks: [{ id: last ? "task_1" : "task_2", state: "ready" }], ...(last ? {} : { next_cursor: "c" }) } };
  });
  const page = await client.tasks.list({ worker: "w", limit: 1 });
  assert.deepEqual([...page].map(({ id }) => id), ["task_2"]);
  assert.equal(page.length, 1);
  const all = [];
  for await (const task of page.all()) all.push(task.id);
  assert.deepEqual(all, ["task_2", "task_1"]);
  assert.equal(await (await page.nextPage()).nextPage(), undefined);
  assert.match(asked[1].path, /worker=w&limit=1&cursor=c$/);
});

test("a wait ends with its signal", async (t) => {
  const { client } = await serve(t, () => new Promise(() => undefined));
  const why = new Error("enough");
  const stop = new AbortController();
  const waiting = client.tasks.wait("task_1", { signal: stop.signal });
  setTimeout(() => stop.abort(why), 20);
  await assert.rejects(waiting, why);
  await assert.rejects(client.tasks.waitAll(["task_1", "task_2"], { signal: AbortSignal.abort(why) }), why);

  let warned;
  process.once("warning", (warning) => (warned = warning));
  const many = new AbortController();
  const all = client.tasks.waitAll(Array.from({ length: 30 }, (_, n) => `task_${n + 1}`), { signal: many.signal });
  setTimeout(() => many.abort(why), 50);
  await assert.rejects(all, why);
  assert.equal(warned, undefined);
});

test("a large body is written once the server says that it takes it", async (t) => {
  let refuse = true;
  const bytes = [];
  const server = createServer((request, response) => {
    let count = 0;
    request.on("data", (chunk) => (count += chunk.length));
    request.on("end", () => {
      bytes.push(count);
      response.end('{"$file":"sha256:a"}');
    });
  });
  server.on("checkContinue", (request, response) => {
    if (refuse) {
      response.writeHead(413, { "content-type": "application/problem+json", connection: "close" });
      return response.end('{"code":"too_large","detail":"no"}');
    }
    response.writeContinue();
    return server.emit("request", request, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const client = new Client({ url: `http://127.0.0.1:${server.address().port}`, token: "t", retryForMs: 0 });
  const data = new Uint8Array(3_000_000);
  await assert.rejects(client.files.give(data, "x"), TooLarge);
  refuse = false;
  await client.files.give(data, "x");
  // One that does not know of this gets the body after a while.
  server.removeAllListeners("checkContinue");
  server.on("checkContinue", (request, response) => server.emit("request", request, response));
  await client.files.give(data, "x");
  assert.deepEqual(bytes, [3_000_000, 3_000_000]);
});

test("a server that refuses in the middle of a body does not end the program", async (t) => {
  const server = createServer((request, response) => {
    response.writeHead(413, { "content-type": "application/problem+json", connection: "close" });
    response.end('{"code":"too_large","detail":"no"}');
    request.socket.destroySoon();
  });
  server.on("checkContinue", (request, response) => {
    response.writeContinue();
    server.emit("request", request, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const client = new Client({ url: `http://127.0.0.1:${server.address().port}`, token: "t", retryForMs: 0 });
  for (let round = 0; round < 10; round++) {
    await assert.rejects(client.files.give(new Uint8Array(20_000_000), "x"), (error) => error instanceof TooLarge || error instanceof Unreachable);
  }
});
