// The TypeScript SDK as the conformance scenarios drive it (see ../README.md).

import { createInterface } from "node:readline";

import * as kapelle from "../../typescript/dist/index.js";

const { Client, Host, Journal, Output, Page, Problem, Run, Task, TaskError } = kapelle;

/** Without streams. */
const longPoll = process.argv.includes("--poll");
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** What a command gave, in the words that all drivers share. `field` is what the items of a page are called. */
function shown(value, field) {
  if (value instanceof Task || value instanceof Run) {
    const { id, state, reason = null, ended } = value;
    const error = value.error && {
      category: value.error.category,
      message: value.error.message,
      retryable: value.error.retryable ?? null,
      retry_after_ms: value.error.retryAfterMs ?? null,
    };
    const common = { id, state, reason, ended, error: error ?? null };
    if (value instanceof Run) {
      return { ...common, workflow: value.workflow, seq: value.seq, outputs: value.outputs };
    }
    const { attempt, worker, queue, output, run = null, degraded } = value;
    const { progress = null, provider = null } = value.raw;
    return { ...common, attempt, worker, queue, output, run, degraded, progress, provider };
  }
  if (Array.isArray(value)) return value.map((one) => shown(one));
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (value instanceof Journal) return { entries: value.items, next: value.next };
  if (value instanceof Page) {
    const items = value.items.map((item) => shown(item));
    return field ? { [field]: items, more: value.nextCursor !== undefined } : items;
  }
  return value ?? null;
}

const FIELDS = { "tasks.list": "tasks", "dead.list": "tasks", "runs.steps": "tasks", "runs.list": "runs" };

/** An error, in the words that all drivers share. */
function told(error) {
  const shown = { kind: error.name, message: error.message };
  if (error instanceof Problem) Object.assign(shown, { code: error.code, status: error.status, problem: true });
  if (error instanceof Problem && error.errors.size) {
    Object.assign(shown, { errors: Object.fromEntries(error.errors), errors_total: error.errorsTotal });
  }
  if (error instanceof RangeError || error instanceof TypeError) shown.kind = "BadArgument";
  return shown;
}

function options(given) {
  if (!given) return undefined;
  const words = {
    max_attempts: "maxAttempts", delay_ms: "delayMs", max_delay_ms: "maxDelayMs", ttl_ms: "ttlMs", timeout_ms: "timeoutMs",
    per_key: "perKey", when_full: "whenFull",
  };
  const fields = Object.entries(given).map(([key, value]) => [words[key] ?? key, key === "retry" || (key === "per_key" && typeof value === "object") ? options(value) : value]);
  const found = Object.fromEntries(fields);
  if (given.deadline_in_ms !== undefined) {
    delete found.deadline_in_ms;
    found.deadline = new Date(Date.now() + given.deadline_in_ms);
  }
  return found;
}

// -- the client ------------------------------------------------------------------------------------------------------

const clients = new Map();
const gates = new Map();
const hosts = new Map();

function gate(name) {
  if (!gates.has(name)) {
    const gate = {};
    gate.opened = new Promise((resolve) => (gate.open = resolve));
    gates.set(name, gate);
  }
  return gates.get(name);
}

function call(client, of) {
  const { tasks, runs } = client;
  const key = of.idempotency_key === undefined ? {} : { idempotencyKey: of.idempotency_key };
  const timeout = of.timeout_ms === undefined ? {} : { timeoutMs: of.timeout_ms };
  switch (of.do) {
    case "tasks.submit": {
      const { worker, input, ...rest } = of.task;
      return tasks.submit(worker, input, { ...options(rest), ...key });
    }
    case "run": {
      const { worker, input, ...rest } = of.task;
      const wait = of.timeout_ms === undefined ? {} : { waitTimeoutMs: of.timeout_ms };
      return client.run(worker, input, { ...options(rest), ...key, ...wait });
    }
    case "tasks.wait_all":
      return tasks.waitAll(of.of, timeout);
    case "tasks.submit_batch":
      return tasks.submitBatch(of.tasks.map(options), key);
    case "tasks.wait":
      return tasks.wait(of.of, timeout);
    case "runs.wait":
      return runs.wait(of.of, timeout);
    case "tasks.list":
      return tasks.list(of.filter);
    case "runs.list":
      return runs.list(of.filter);
    case "tasks.cancel":
      return tasks.cancel(of.of, of.reason);
    case "runs.cancel":
      return runs.cancel(of.of, of.reason);
    case "runs.start": {
      const source = typeof of.source === "object" ? JSON.stringify(of.source) : of.source;
      return runs.start(of.workflow, { ...(source ? { source } : {}), inputs: of.inputs ?? {}, ...key });
    }
    case "runs.journal":
      return runs.journal(of.of, { start: of.start ?? 0, ...(of.limit ? { limit: of.limit } : {}) });
    case "runs.signal":
      return runs.signal(of.of, of.name, of.payload);
    case "runs.rerun":
      return runs.rerun(of.of, of.step);
    case "dead.list":
      return client.dead.list(of.filter);
    case "dead.discard":
      return client.dead.discard(of.of, of.reason);
    case "files.give":
      return client.files.give(new TextEncoder().encode(of.text), of.name, of.media_type ?? "text/plain");
    case "approvals.approve":
      return client.approvals.approve(of.of, of.comment, of.by);
    default: {
      const [noun, verb] = of.do.split(".");
      return verb ? client[noun][verb](of.of) : client[noun]();
    }
  }
}

async function events(client, given) {
  const after = given.after === undefined ? {} : { after: given.after };
  const stream = given.of ? client.runs.events(given.of, after) : client.events();
  const found = [];
  for await (const event of stream) {
    const { kind, seq = null, data } = event;
    found.push({ kind, seq, data });
    say({ event: "seen", of: given.of ?? null, seq, kind });
    if (found.length >= (given.most ?? Infinity) || kind === given.until) break;
  }
  return found;
}

// -- the host --------------------------------------------------------------------------------------------------------

/** What a function meets that asks the gateway with what its context gives it. */
async function gateway(ctx) {
  const { url, token } = ctx.gateway;
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const models = await fetch(`${url}/models`, { headers });
  const body = JSON.stringify({ model: "fast", messages: [{ role: "user", content: "hi" }] });
  const chat = await fetch(`${url}/chat/completions`, { method: "POST", headers, body });
  const { error } = await chat.json();
  return { at: `${url}/models`, token, models: models.status, chat: chat.status, code: error?.code ?? null };
}

async function act(one, ctx, input) {
  if ("return" in one) return [one.return];
  if ("return_input" in one) return [input];
  if ("return_text" in one) return [one.return_text.text.repeat(one.return_text.times)];
  if ("return_odd" in one) return [one.return_odd === "nan" ? { not: NaN } : { half: "\ud800" }];
  if ("return_degraded" in one) return [new Output(input, { provider: "test", degradedReason: one.return_degraded })];
  if ("file" in one) return [new TextDecoder().decode(await ctx.file(input[one.file]))];
  if ("context" in one) {
    const { taskId: task, attempt, lastAttempt, worker, runId: run = null, step = null, cancelled, timeoutMs } = ctx;
    return [{ task, attempt, last_attempt: lastAttempt, worker, run, step, cancelled, timeout_ms: timeoutMs }];
  }
  if ("gateway" in one) return [await gateway(ctx)];
  if ("fail" in one) {
    const { message, retry_after_ms: retryAfterMs, ...rest } = one.fail;
    throw new TaskError(message, { ...rest, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
  }
  if ("raise" in one) throw new Error(one.raise);
  if ("progress" in one) ctx.progress(...one.progress);
  if ("block_ms" in one) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, one.block_ms);
  if ("sleep_ms" in one) await ctx.sleep(one.sleep_ms);
  if ("gate" in one) {
    const stopped = new Promise((_, reject) => {
      ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason), { once: true });
    });
    await Promise.race([gate(one.gate).opened, stopped]);
  }
  return undefined;
}

function worker(name, acts) {
  return async (ctx, input) => {
    say({ event: "started", worker: name, task: ctx.taskId, attempt: ctx.attempt });
    try {
      for (const one of acts[Math.min(ctx.attempt, acts.length) - 1]) {
        const answer = await act(one, ctx, input);
        if (answer) return answer[0];
      }
      return null;
    } catch (error) {
      if (error instanceof kapelle.Cancelled) {
        say({ event: "cancelled", worker: name, task: ctx.taskId, why: ctx.cancelReason });
      }
      throw error;
    }
  };
}

function startHost(given) {
  const host = new Host({
    url: given.url, token: given.token, slots: given.slots ?? 4, queues: given.queues ?? [], labels: given.labels ?? {},
    drainTimeoutMs: given.drain_timeout_ms ?? 30_000, longPoll, log: (text) => say({ event: "log", text }),
  });
  for (const [name, of] of Object.entries(given.workers)) {
    const { acts, ...known } = of;
    host.worker(name, worker(name, acts), options(known));
  }
  const ended = given.signals ? host.run() : host.serve();
  const outcome = ended.then(() => undefined, (error) => error);
  if (given.signals) {
    outcome.then(() => {
      say({ event: "main_ended" });
      process.exit(0);
    });
  }
  hosts.set(given.host, { host, outcome });
  return {};
}

async function perform(given) {
  switch (given.do) {
    case "connect": {
      const client = new Client({ url: given.url, token: given.token, retryForMs: given.retry_for_ms ?? 5_000, longPoll });
      clients.set(given.client ?? "default", client);
      return { url: client.url };
    }
    case "host.start":
      return startHost(given);
    case "host.stop":
      hosts.get(given.host).host.stop();
      return {};
    case "host.ended": {
      const late = new Promise((resolve) => setTimeout(resolve, given.timeout_ms, "late").unref());
      const outcome = await Promise.race([hosts.get(given.host).outcome, late]);
      if (outcome === "late") throw new Error("the host has not ended");
      if (outcome) throw outcome;
      return {};
    }
    case "reset":
      // As if freshly started: what a scenario leaves behind is nothing to the next.
      for (const { host } of hosts.values()) {
        host.stop();
        host.stop();
      }
      await Promise.all([...hosts.values()].map(({ outcome }) => outcome));
      for (const known of [hosts, gates, clients]) known.clear();
      return {};
    case "open":
      gate(given.gate).open();
      return {};
    case "events":
    case "runs.events":
      return events(clients.get(given.client ?? "default"), given);
    default:
      return shown(await call(clients.get(given.client ?? "default"), given), FIELDS[given.do]);
  }
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const given = JSON.parse(line);
    // Arguments are checked before anything is awaited, so that what is thrown at once is told of too.
    Promise.resolve()
      .then(() => perform(given))
      .then((ok) => say({ id: given.id, ok }))
      .catch((error) => say({ id: given.id, error: told(error) }));
  })
  .on("close", () => process.exit(0));
