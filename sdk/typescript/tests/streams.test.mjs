// Streams of tasks and of results, against a server that does what each test wants of it.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";

import { Client, Host, NotFound, WaitTimeout } from "../dist/index.js";

const ended = (id) => ({ task: { id, state: "succeeded", attempt: 1, output: id } });
const claimed = (id) => ({
  id, attempt: 1, lease_token: `lease-${id}`, lease_ttl_ms: 15_000, timeout_ms: 60_000, last_attempt: false, worker: "echo", input: id,
});

async function until(holds) {
  for (const late = Date.now() + 10_000; !holds(); ) {
    assert.ok(Date.now() < late, "it does not come to hold");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A server with streams: `tell(path, line)` says a line on the open streams of that path, `cut(path)` ends them. */
async function serve(t, { opens = () => 200, first = () => ({}), both = false } = {}) {
  const asked = [];
  const open = [];
  let hosts = 0;
  const write = (response, line) => {
    // Cut in the middle: a line may come in several pieces.
    const text = `${JSON.stringify(line)}\n`;
    response.write(text.slice(0, 7));
    response.write(text.slice(7));
  };
  const answers = (path, body) => {
    if (path === "/api/v1/hosts") return [201, { id: `host_${hosts++}`, lease_ttl_ms: 15_000, heartbeat_ms: 5_000 }];
    if (/\/(frame|report)$/.test(path)) return [200, { results: body.reports.map(({ lease_token }) => ({ lease_token, accepted: true })) }];
    if (path.endsWith("/heartbeat")) return [200, { cancel: [], lease_ttl_ms: 15_000 }];
    if (path.endsWith("/claim")) return [200, { tasks: asked.filter((one) => one.path.endsWith("/claim")).length === 1 ? [claimed("polled")] : [] }];
    if (path.startsWith("/api/v1/results/")) return [200, { missing: body.tasks.filter((id) => id.startsWith("gone")) }];
    if (path === "/api/v1/tasks/batch") return [201, { ids: body.tasks.map((task) => task.input) }];
    return [201, { ...ended(body.input).task }];
  };
  /** A stream that goes both ways: each line is a frame, whose answer comes down. */
  const duplex = (request, response) => {
    const path = request.url;
    if (!both) {
      response.writeHead(404, { "content-type": "application/problem+json" });
      return response.end('{"code":"not_found","detail":"no such thing"}');
    }
    let rest = "";
    request.on("data", (chunk) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop();
      for (const body of lines.map((line) => JSON.parse(line))) {
        if (body.n) {
          asked.push({ path: "/frame", query: "", body: { stream: `s_${open.length}`, ...body } });
          write(response, { n: body.n, answer: answers("/frame", body)[1] });
        } else {
          asked.push({ path, query: "", body });
          response.writeHead(200, { "content-type": "application/x-ndjson" });
          open.push({ path, response });
          write(response, { stream: `s_${open.length}` });
        }
      }
    });
    return undefined;
  };
  const server = createServer((request, response) => {
    if (request.url.endsWith("/duplex")) return duplex(request, response);
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const body = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks)) : {};
      const [path, query = ""] = request.url.split("?");
      asked.push({ path, query, body });
      const say = (status, answer) => {
        response.writeHead(status, { "content-type": status < 400 ? "application/json" : "application/problem+json" });
        response.end(JSON.stringify(answer));
      };
      if (request.method === "DELETE") return say(200, {});
      if (request.method === "GET") {
        const id = path.split("/").at(-1);
        return id.startsWith("gone") ? say(404, { code: "not_found", detail: `there is no ${id}` }) : say(200, ended(id).task);
      }
      if (!path.endsWith("/stream") && path !== "/api/v1/results") {
        // A claim that found nothing waits, as the server's does.
        const [status, answer] = answers(path, body);
        return setTimeout(() => say(status, answer), answer.tasks?.length === 0 ? 500 : 0);
      }
      const status = opens(open.length);
      if (status === 0) return undefined;
      if (status !== 200) return say(status, { code: "not_found", detail: "no such thing" });
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      open.push({ path, response });
      return write(response, { stream: `s_${open.length}`, ...first() });
    });
    return undefined;
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stops = [];
  t.after(async () => {
    for (const stop of stops) await stop();
    server.closeAllConnections();
    server.close();
  });
  const streams = (part) => open.filter(({ path }) => path.endsWith(part));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    asked,
    stops,
    streams,
    of: (part) => asked.filter(({ path }) => path.endsWith(part)).map(({ body }) => body),
    tell: (part, line) => write(streams(part).at(-1).response, line),
    cut: (part) => streams(part).at(-1).response.end(),
  };
}

/** Runs a host of the worker `echo`, which waits for `open`. */
async function host(server, options = {}) {
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  const host = new Host({ url: server.url, token: "t", slots: 2, log: () => undefined, ...options });
  host.worker("echo", async (_ctx, input) => {
    await opened;
    return input;
  });
  const served = host.serve();
  server.stops.push(async () => {
    open();
    host.stop();
    await served;
  });
  await host.ready;
  return open;
}

const reported = (server) =>
  [...server.of("/frame"), ...server.of("/report")].flatMap(({ reports }) => reports.map(({ lease_token }) => lease_token.slice(6)));

for (const [way, both] of [["/stream", false], ["/duplex", true]]) {
  test(`a report tells of the slot that it frees (${way})`, async (t) => {
    const server = await serve(t, { both });
    const open = await host(server);
    await until(() => server.streams(way).length === 1);
    server.tell(way, { tasks: [claimed("a"), claimed("b")] });
    open();
    await until(() => reported(server).length === 2);
    assert.deepEqual(server.of(way), [{ credit: 2 }]);
    const last = server.of("/frame").at(-1);
    assert.deepEqual([last.stream, last.credit], ["s_1", 4]);
    assert.deepEqual([...server.of("/ack"), ...server.of("/claim")], []);
  });

  test(`a stream that is cut is opened again with the slots that are free (${way})`, async (t) => {
    const server = await serve(t, { both });
    const open = await host(server);
    await until(() => server.streams(way).length === 1);
    server.tell(way, { tasks: [claimed("a")] });
    await until(() => server.of("/heartbeat").some(({ tasks }) => tasks.some(({ lease_token }) => lease_token === "lease-a")));
    server.cut(way);
    await until(() => server.streams(way).length === 2);
    assert.deepEqual(server.of(way)[1], { credit: 1 });
    open();
    server.tell(way, { tasks: [claimed("b")] });
    await until(() => reported(server).length === 2);
    await until(() => server.of("/frame").some(({ stream, credit }) => stream === "s_2" && credit === 3));
  });

  test(`what is cancelled on the stream frees its slot (${way})`, async (t) => {
    const server = await serve(t, { both });
    const open = await host(server);
    await until(() => server.streams(way).length === 1);
    server.tell(way, { tasks: [claimed("a")] });
    server.tell(way, { cancel: ["lease-a"] });
    await new Promise((resolve) => setTimeout(resolve, 100));
    open();
    await until(() => server.of("/frame").some(({ credit }) => credit === 3));
    assert.deepEqual(reported(server), []);
  });
}

for (const [what, opens] of [["answers 404", () => 404], ["answers 405", () => 405], ["keeps the stream to itself", () => 0]]) {
  test(`a host polls where something ${what}`, async (t) => {
    const server = await serve(t, { opens });
    (await host(server))();
    await until(() => reported(server).includes("polled")).catch(() => until(() => reported(server).includes("polled")));
    assert.deepEqual(server.of("/frame"), []);
  });
}

test("a host polls when it is told to", async (t) => {
  const server = await serve(t);
  (await host(server, { longPoll: true }))();
  await until(() => reported(server).includes("polled"));
  assert.deepEqual(server.of("/stream"), []);
});

test("one stream tells of all that are waited for, also after a cut", async (t) => {
  const server = await serve(t);
  const client = new Client({ url: server.url, token: "t" });
  const found = client.tasks.waitAll(["a", "b"]);
  await until(() => server.streams("/results").length === 1);
  server.tell("/results", ended("b"));
  server.cut("/results");
  await until(() => server.streams("/results").length === 2);
  server.tell("/results", ended("a"));
  assert.deepEqual((await found).map(({ id }) => id), ["a", "b"]);
  assert.deepEqual(server.of("/results").at(-1), { tasks: ["a"] });
});

test("a wait ends in time, and for what does not exist", async (t) => {
  const server = await serve(t);
  const client = new Client({ url: server.url, token: "t" });
  await assert.rejects(client.tasks.waitAll(["a", "b"], { timeoutMs: 100 }), WaitTimeout);
  await assert.rejects(client.tasks.waitAll(["a", "gone_1"], { timeoutMs: 5_000 }), NotFound);
});

test("a task that is missing when the stream begins ends its wait", async (t) => {
  const server = await serve(t, { first: () => ({ missing: ["gone_1"] }) });
  const client = new Client({ url: server.url, token: "t" });
  await assert.rejects(client.tasks.waitAll(["a", "gone_1"], { timeoutMs: 5_000 }), NotFound);
});

test("tasks are asked for where there are no streams", async (t) => {
  const server = await serve(t, { opens: () => 404 });
  const client = new Client({ url: server.url, token: "t" });
  assert.deepEqual((await client.tasks.waitAll(["a", "b"])).map(({ id }) => id), ["a", "b"]);
  const ran = await Promise.all(["c", "d", "e"].map((id) => client.run("echo", id)));
  assert.deepEqual(ran.map((task) => task.result()), ["c", "d", "e"]);
  assert.equal(server.of("/results").length, 1);
  const polling = new Client({ url: server.url, token: "t", longPoll: true });
  await polling.tasks.waitAll(["a", "b"]);
  assert.equal(server.of("/results").length, 1);
});

test("a run alone is one request", async (t) => {
  const server = await serve(t);
  const client = new Client({ url: server.url, token: "t" });
  assert.equal((await client.run("echo", "a")).result(), "a");
  assert.deepEqual(server.asked.map(({ path, query }) => `${path}?${query}`), ["/api/v1/tasks?wait_ms=20000"]);
});

test("runs at once share requests and a stream", async (t) => {
  const server = await serve(t);
  const client = new Client({ url: server.url, token: "t" });
  const ran = Promise.all(["a", "b", "c"].map((id) => client.run("echo", id)));
  await until(() => server.asked.some(({ query }) => query === "results=s_1"));
  // Ends may come before the answers to their submits.
  for (const id of ["c", "b"]) server.tell("/results", ended(id));
  assert.deepEqual((await ran).map((task) => task.result()), ["a", "b", "c"]);
  assert.equal(server.of("/results").length, 1);
});
