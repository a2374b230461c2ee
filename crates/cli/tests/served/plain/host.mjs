// A worker host with nothing but what Node brings along. It answers with its input and its own name, writes down what it
// claimed, said and was told, and reports in batches whatever it has begun, also when it was told to stop: that the
// server refuses what is late is the server's duty, not the host's good will.
import { appendFileSync } from "node:fs";
import http from "node:http";
import { setTimeout as pause } from "node:timers/promises";

const { HOST_SERVER, HOST_TOKEN, HOST_NAME, HOST_LOG } = process.env;
const [hostname, port] = HOST_SERVER.split(":");
const slots = Number(process.env.HOST_SLOTS);
const ack = process.env.HOST_ACK === "1";
const agent = new http.Agent({ keepAlive: true });
const leases = new Map(); // lease token -> when it was last certainly ours, in milliseconds of the monotonic clock
const ended = []; // reports that wait to be sent together
let id = null;
let wake = () => {};

const now = () => Math.round((performance.timeOrigin + performance.now()) * 1000);
const note = (event) => appendFileSync(HOST_LOG, JSON.stringify({ ...event, by: HOST_NAME }) + "\n");

// The status and the answer; null when the server did not answer.
function ask(method, path, body) {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${HOST_TOKEN}`, "content-type": "application/json" };
    const request = http.request({ hostname, port, method, path, headers, agent, timeout: 60_000 }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => (text += part));
      response.on("error", () => resolve(null));
      response.on("end", () => {
        try {
          resolve({ status: response.statusCode, body: JSON.parse(text) });
        } catch {
          resolve(null);
        }
      });
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(null));
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

// Asks until there is an answer that is not about the server being away; with the number of tries before it.
async function insist(path, body) {
  for (let tries = 0; ; tries += 1) {
    const answer = await ask("POST", path, body);
    if (answer !== null && answer.status < 500) return { ...answer, tries };
    await pause(20);
  }
}

async function register() {
  const workers = process.env.HOST_WORKERS.split(",");
  const answer = await insist("/api/v1/hosts", { name: HOST_NAME, slots, workers, ack });
  if (answer.status !== 201) throw new Error(`the server does not want this host: ${JSON.stringify(answer)}`);
  id = answer.body.id;
}

async function heartbeat() {
  const held = [...leases.keys()];
  const sent = performance.now();
  const answer = await ask("POST", `/api/v1/hosts/${id}/heartbeat`, { tasks: held.map((lease_token) => ({ lease_token })) });
  if (answer?.status !== 200) return;
  const gone = new Set(answer.body.cancel);
  for (const lease of held) if (leases.has(lease) && !gone.has(lease)) leases.set(lease, sent);
}

async function work({ id: task, attempt, lease_token, input }) {
  await pause(input.ms ?? 0);
  const report = { lease_token, outcome: "succeed" };
  if (attempt <= (input.fail ?? 0)) {
    report.outcome = "fail";
    report.error = { category: "unavailable", message: "asked to fail" };
  } else if (attempt <= (input.release ?? 0)) report.outcome = "release";
  else report.output = { n: input.n, by: HOST_NAME, attempt };
  ended.push({ task, attempt, report });
  wake();
}

async function reporting() {
  for (;;) {
    if (ended.length === 0) await new Promise((resolve) => (wake = resolve));
    const batch = ended.splice(0, 500);
    const silent = batch.map(({ report }) => Math.round(performance.now() - leases.get(report.lease_token)));
    const sent = now();
    const answer = await insist(`/api/v1/hosts/${id}/report`, { reports: batch.map(({ report }) => report) });
    if (answer.status !== 200) throw new Error(`reports are refused: ${JSON.stringify(answer)}`);
    batch.forEach(({ task, attempt, report }, at) => {
      leases.delete(report.lease_token);
      const result = answer.body.results[at];
      const told = result.accepted ? "accepted" : result.code;
      const { outcome } = report;
      note({ event: "report", task, attempt, outcome, sent, got: now(), told, tries: answer.tries, silent_ms: silent[at] });
    });
  }
}

await register();
setInterval(heartbeat, 2000);
reporting();
console.log("ready");
for (;;) {
  const free = slots - leases.size;
  if (free === 0) {
    await pause(2);
    continue;
  }
  const [sent, certain] = [now(), performance.now()];
  const answer = await ask("POST", `/api/v1/hosts/${id}/claim`, { max_tasks: free, wait_ms: 5000 });
  if (answer?.status !== 200) {
    await pause(20);
    if (answer?.status === 404) await register();
    continue;
  }
  // Of a claim that waited it is only certain that the lease is not older than the answer, less a moment.
  const mine = Math.max(certain, performance.now() - 1000);
  for (const task of answer.body.tasks) {
    leases.set(task.lease_token, mine);
    note({ event: "claim", task: task.id, attempt: task.attempt, sent, got: now() });
  }
  const lease_tokens = answer.body.tasks.map((task) => task.lease_token);
  if (ack && lease_tokens.length > 0) await ask("POST", `/api/v1/hosts/${id}/ack`, { lease_tokens });
  answer.body.tasks.forEach(work);
}
