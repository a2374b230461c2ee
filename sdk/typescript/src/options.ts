/** The check of option names. An unknown one is refused with its name in this package. */

interface Word {
  /** The option of this package, and the advice when its name alone does not say enough. */
  name?: string;
  text?: string;
  /** The advice for calls that do not take that option. */
  else?: string;
}

const RETRY: Word = { name: "maxAttempts", else: "use `retry: 5` or `retry: { maxAttempts: 5 }` (the first attempt counts)" };
const MORE_RETRIES: Word = { ...RETRY, text: "`maxAttempts` (the first attempt counts)" };
// The `delayMs` of a retry stands beside `maxAttempts`; that of a task is another option.
const BACKOFF: Word = { name: "maxAttempts", text: "`delayMs` and `multiplier`", else: "use `retry: { delayMs: 1000, multiplier: 2 }`" };
const FIRST_DELAY: Word = { ...BACKOFF, text: "`delayMs`" };
const MULTIPLIER: Word = { name: "multiplier", else: "use `retry: { multiplier: 2 }`" };
const LONGEST_DELAY: Word = { name: "maxDelayMs", else: "use `retry: { maxDelayMs: 60000 }`" };
const CATEGORIES: Word = { name: "on", text: "`on`, a list of error categories", else: "use `retry: { on: [...] }`, a list of error categories" };
const KEY: Word = { name: "idempotencyKey" };
const DELAY: Word = { name: "delayMs", text: "`delayMs`, in milliseconds" };
const TIME_LIMIT: Word = { name: "timeoutMs", text: "`timeoutMs`, in milliseconds" };
const TTL: Word = { name: "ttlMs", text: "`ttlMs`, in milliseconds" };
const SLOTS: Word = { name: "slots", else: "use `slots` of `new Host({ slots })`" };
const KEPT: Word = { else: "not available: the server keeps ended tasks" };
const SCHEDULE: Word = { else: "use `client.schedules.create(\"NAME\", \"15m\", { worker: \"WORKER\" })`" };
const PARTS: Word = { else: "not available: steps that follow each other are a workflow (`client.runs.start`)" };
const RATE: Word = { name: "rate", text: "`rate: \"60/minute\"`", else: "use `rate: \"60/minute\"` of `host.worker(...)`" };
const PER_KEY: Word = { name: "perKey", else: "use `perKey` of `host.worker(...)`" };
const LEASE: Word = { else: "not needed: the host renews the leases of its tasks itself" };
const QUEUE: Word = { name: "queue", else: "use `queue` of the worker or task" };
const URL: Word = { name: "url", text: "`url` and `token`" };

/** Option names of other queues and workflow engines, in lower case without `_`. */
const WORDS: Record<string, Word> = {
  // BullMQ
  attempts: RETRY, backoff: BACKOFF, jobid: KEY, deduplication: KEY, debounce: KEY, delay: DELAY,
  lifo: { name: "priority" }, removeoncomplete: KEPT, removeonfail: KEPT, repeat: SCHEDULE, cron: SCHEDULE, every: SCHEDULE,
  parent: PARTS, children: PARTS, concurrency: SLOTS, limiter: RATE, lockduration: LEASE, stalledinterval: LEASE,
  maxstalledcount: LEASE, connection: URL, prefix: { else: "not available: a server has its own folder" },
  autorun: { else: "not available: call `host.run()`" }, factor: MULTIPLIER, type: MULTIPLIER,
  // Celery
  countdown: DELAY, eta: { name: "delayMs", text: "`delayMs: eta - Date.now()`" }, expires: TTL, taskid: KEY, maxretries: MORE_RETRIES,
  retrybackoff: BACKOFF, retrybackoffmax: LONGEST_DELAY, retryjitter: { name: "jitter", else: "use `retry: { jitter }`" },
  defaultretrydelay: FIRST_DELAY, autoretryfor: CATEGORIES, retryfor: CATEGORIES, timelimit: TIME_LIMIT, softtimelimit: TIME_LIMIT,
  ratelimit: RATE, routingkey: QUEUE, exchange: QUEUE, link: PARTS, chain: PARTS, chord: PARTS, ignoreresult: KEPT,
  ackslate: { else: "not needed: a task is done once its result is reported" }, prefetchmultiplier: SLOTS,
  broker: URL, brokerurl: URL, backend: URL, periodic: SCHEDULE, crontab: SCHEDULE, schedule: SCHEDULE,
  // Temporal
  workflowid: KEY, taskqueue: QUEUE, starttoclosetimeout: TIME_LIMIT, scheduletostarttimeout: TTL, retrypolicy: { name: "retry" },
  scheduletoclosetimeout: { name: "deadline" }, maximumattempts: RETRY, initialinterval: FIRST_DELAY, backoffcoefficient: MULTIPLIER,
  maximuminterval: LONGEST_DELAY, nonretryableerrortypes: CATEGORIES, startdelay: DELAY, args: { name: "input", else: "pass the input" },
  // Kapelle elsewhere
  perkey: PER_KEY, groupconcurrency: PER_KEY, keylimit: PER_KEY, rate: RATE, key: { name: "group" }, retries: MORE_RETRIES, baseurl: URL, apikey: { name: "token" },
  with: { name: "inputs" }, input: { name: "inputs" }, tz: { name: "timezone" },
  maxcost: { name: "maxCostNanousd", text: "`maxCostNanousd`, in billionths of a dollar" },
};

const bare = (name: string): string => name.replace(/[_-]/g, "").toLowerCase();

/** Throws TypeError for options that are not in `names`. `where` is the call that takes them. */
export function known(where: string, options: object | null | undefined, names: ReadonlySet<string>): void {
  if (options === undefined) return;
  if (options === null || typeof options !== "object" || Array.isArray(options)) {
    throw new TypeError(`${where}: options must be an object; expected some of ${list(names)}`);
  }
  for (const name in options) {
    if (!names.has(name)) throw new TypeError(`${name}: unknown option of ${where}; ${advice(name, names)}`);
  }
}

function advice(name: string, names: ReadonlySet<string>): string {
  const plain = bare(name);
  const same = [...names].find((one) => bare(one) === plain);
  if (same) return `use \`${same}\``;
  const inMs = [...names].find((one) => bare(one) === `${plain}ms`);
  if (inMs) return `use \`${inMs}\`, in milliseconds`;
  const word = Object.hasOwn(WORDS, plain) ? WORDS[plain] : undefined;
  if (word?.name && names.has(word.name)) return `use ${word.text ?? `\`${word.name}\``}`;
  if (word?.else) return word.else;
  const near = [...names].map((one) => ({ one, far: distance(plain, bare(one)) })).sort((a, b) => a.far - b.far)[0];
  return near && near.far <= 2 ? `did you mean \`${near.one}\`?` : `expected some of ${list(names)}`;
}

function list(names: ReadonlySet<string>): string {
  return [...names].join(", ");
}

/** The edit distance of two words. A swap of neighbours counts as one. */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, at) => at)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      row.push(least);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

/** A text or a list of texts, as a list. */
export function texts(where: string, value: string | readonly string[] | undefined): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const all = typeof value === "string" ? [value] : value;
  if (!Array.isArray(all) || all.some((one) => typeof one !== "string")) {
    throw new TypeError(`${where}: expected a text or a list of texts`);
  }
  return all;
}
