// Shapes of routes that openapi.json does not describe closely enough, or not yet.
import type { components, paths } from "./schema";

type S = components["schemas"];
export type JsonSchema = Record<string, unknown>;
export type Counts = Partial<Record<string, number>>;

export type Attempt = S["Attempt"];

export type Task = S["Task"] & {
  ready_at?: string;
  started_at?: string;
  key?: string;
  cached?: boolean;
  reused?: string;
  host?: string;
  input?: unknown;
  attempts?: Attempt[];
  deadline?: string;
  timeout_ms?: number;
  max_attempts?: number;
  replayed?: number;
};

export type Run = S["Run"] & {
  version?: number;
  strategy?: string;
  parent?: { run: string; step?: string };
  started_by?: string;
  steps?: Counts;
  steps_more?: boolean;
  degraded?: number;
  replayed?: number;
  inputs?: unknown;
  file?: string;
  children?: string[];
};

export type GraphStep = {
  index: number;
  name: string;
  kind: "worker" | "workflow" | "approval" | "signal" | "timer" | "steps" | "branch";
  what: string;
  worker?: string;
  workflow?: string;
  signal?: string;
  needs: number[];
  level: number;
  if?: string;
  run_if: string;
  for_each?: { max_parallel: number; collect: boolean };
  repeat?: { max: number; until?: string };
  on_error: string;
  handler?: number;
  is_handler: boolean;
  blocks: number[];
  queue?: string;
  requires: string[];
  line: number;
  counts?: Counts;
  items?: Counts;
  items_total?: number;
  taken?: { then: number; else: number };
};

export type GraphBlock = {
  index: number;
  kind: "steps" | "then" | "else" | "on_error" | "on_cancel" | "finally";
  parent?: { block: number; step: number };
  levels: number[][];
  steps: GraphStep[];
};

export type Graph = {
  workflow: string;
  version?: number;
  description?: string;
  strategy: string;
  inputs?: JsonSchema;
  blocks: GraphBlock[];
  run?: { id: string; state: string; paused: boolean; seq: number; began: boolean };
};

export type Items = { step: string; total: number; counts: Counts; items: Task[]; next_cursor?: string };
export type Explained = {
  step: string;
  task?: string;
  state: string;
  ended: boolean;
  why: string;
  waiting?: { for: string } & Record<string, unknown>;
  ahead?: number;
  /** What ends the wait: a command. */
  lift?: string;
};
export type Explanation = { id: string; state: string; steps: Explained[] };

export type Me = {
  tenant: number;
  role: string;
  id: string;
  name: string;
  expires_at?: string;
  may: string[];
  server: boolean;
  version: string;
};

export type AllCounts = {
  runs: { open: number; paused: number };
  tasks: Counts;
  dead: number;
  parked: number;
  approvals: number;
  workers: { busy: number; idle: number; absent: number };
  hosts: number;
  scripts: Counts;
  slots: { busy: number; all: number };
  paused: { kind: string; name: string }[];
  unserved: { queue: string; worker: string; tasks: number; why: string; waiting?: Explained["waiting"] }[];
  today: { spent_nanousd: number; calls: number; input_tokens: number; output_tokens: number };
};

export type SeriesLine = {
  metric: string;
  name: string;
  unit: "per_s" | "ms" | "count" | "nanousd" | "tokens" | "cores" | "bytes";
  values: (number | null)[];
};
export type Series = {
  from: string;
  to: string;
  step_ms: number;
  series: SeriesLine[];
  marks: { at: string; kind: string; text: string }[];
};

export type Uses = { cpu?: number; memory_bytes?: number };
export type System = {
  version: string;
  pid: number;
  uptime_ms: number;
  cpus: number;
  process: Uses;
  machine: { cpu?: number; memory_total_bytes?: number; memory_available_bytes?: number };
  disk: {
    folder: string;
    database_bytes: number;
    history_bytes: number;
    total_bytes?: number;
    free_bytes?: number;
  };
  scripts: ({ id: string; name: string; pid: number } & Uses)[];
};

export type Hit = { kind: string; id: string; title: string; state?: string; at?: string };
export type BulkResult = {
  dry_run: boolean;
  matched: number;
  done: number;
  ids: string[];
  refused: { id: string; detail: string }[];
  more: boolean;
  spent_nanousd: number;
};
export type DeadGroup = {
  worker: string;
  category: string;
  /** The message, with `#` for numbers. */
  message: string;
  tasks: number;
  newest_at: string;
  oldest_at: string;
  /** At most 1,000. */
  ids: string[];
};

export type CatalogEntry = {
  name: string;
  description?: string;
  file?: string;
  problem?: string;
  inputs?: JsonSchema;
  steps?: number;
  newest?: number;
  unsaved: boolean;
  last?: { run: string; state: string; created_at: string; ended_at?: string };
  open: number;
};
export type SourceProblem = { line: number; column: number; message: string; hint?: string };
export type Checked = { ok: boolean; name?: string; problems: SourceProblem[]; graph?: Graph };
export type CallDetail = S["ModelCall"] & { answer?: unknown; answer_bytes?: number; replay?: boolean };
export type CostRow = S["Cost"] & { day?: string };
export type CostReport = { by: string; rows: CostRow[]; total?: S["Cost"]; truncated?: boolean };
/** A name of a model that workers use, and what it leads to. */
export type Alias = {
  name: string;
  live: boolean;
  reason?: string;
  limited_by?: string;
  rate_wait_ms?: number;
  /** `state`: `ready`, `no_key`, `key_refused` or `offline`. */
  links: { link: string; state: string; price_known: boolean }[];
};
/** `head` is `SEQ:HASH`; `known` of the `heads` in logs are in the trail. */
export type AuditVerdict = {
  ok: boolean;
  entries: number;
  head?: string;
  heads: number;
  known: number;
  faults: string[];
};
export type Setting = { path: string; value: unknown; origin: string };
export type DoctorCheck = { name: string; state: "ok" | "warn" | "fail"; found: string; todo?: string };

type Params<Q, X> = { query?: Q; path: X; header?: never; cookie?: never };
type NoParams<Q> = { query?: Q; path?: never; header?: never; cookie?: never };
type Json<R, C extends number = 200> = Record<
  C,
  { headers: Record<string, unknown>; content: { "application/json": R } }
>;
type Get<R, Q = never, X = never> = {
  get: { parameters: [X] extends [never] ? NoParams<Q> : Params<Q, X>; requestBody?: never; responses: Json<R> };
};
type Post<B, R, X = never> = {
  post: {
    parameters: [X] extends [never] ? NoParams<never> : Params<never, X>;
    requestBody: { content: { "application/json": B } };
    responses: Json<R>;
  };
};

type Page = { limit?: number | string; cursor?: string };
type Id = { id: string };
type Range = { since?: string; until?: string };
export type RunFilter = Page &
  Range & { workflow?: string; open?: string; state?: string; q?: string; degraded?: string };
export type TaskFilter = Page &
  Range & {
    state?: string;
    queue?: string;
    worker?: string;
    run?: string;
    q?: string;
    category?: string;
    dead?: string;
    steps?: string;
    degraded?: string;
  };
export type CallFilter = Page &
  Range & { task?: string; run?: string; provider?: string; model?: string; state?: string };

/** Routes that stand in for those of the same path in openapi.json. */
type Closer = {
  "/api/v1/me": Get<Me>;
  "/api/v1/runs/{id}": Get<Run, { wait_ms?: number }, Id>;
  "/api/v1/runs/{id}/steps": Get<{ steps: Task[]; next_cursor?: string | null }, Page & { outputs?: string }, Id>;
  "/api/v1/runs/{id}/graph": Get<Graph, never, Id>;
  "/api/v1/runs/{id}/items": Get<Items, Page & { step: string; state?: string }, Id>;
  "/api/v1/runs/{id}/explain": Get<Explanation, never, Id>;
  "/api/v1/runs/{id}/journal": Get<
    { entries: ({ seq: number; at: string; event: string; step?: string } & Record<string, unknown>)[]; next: number },
    { from?: number; limit?: number },
    Id
  >;
  "/api/v1/workflows/{name}/{number}/graph": Get<Graph, never, { name: string; number: string }>;
  "/api/v1/tasks/{id}": Get<Task, { wait_ms?: number }, Id>;
  "/api/v1/tasks/{id}/explain": Get<Explanation, never, Id>;
  "/api/v1/tasks/{id}/logs": Get<S["LogLines"], { tail?: number }, Id>;
  "/api/v1/calls": Get<S["CallPage"], CallFilter>;
  "/api/v1/calls/{id}": Get<CallDetail, never, Id>;
  "/api/v1/cost": Get<
    CostReport,
    { by?: string; from?: string; to?: string; where?: string; per?: string; limit?: number | string }
  >;
  "/api/v1/counts": Get<AllCounts>;
  "/api/v1/series": Get<Series, { metric: string; by?: string; from?: string; to?: string; step?: number }>;
  "/api/v1/system": Get<System>;
  "/api/v1/search": Get<{ hits: Hit[] }, { q: string; limit?: number }>;
  "/api/v1/dead": Get<
    { tasks: Task[]; next_cursor?: string | null },
    Page & { queue?: string; worker?: string; category?: string; before?: string }
  >;
  "/api/v1/dead/groups": Get<{ groups: DeadGroup[]; more: boolean }>;
  "/api/v1/providers": Get<{ aliases: Alias[] }>;
  "/api/v1/audit/verify": Get<AuditVerdict>;
  "/api/v1/config": Get<{ settings: Setting[] }>;
  "/api/v1/doctor": Get<{ ok: boolean; checks: DoctorCheck[] }>;
  "/api/v1/scripts/{id}/logs": Get<S["LogLines"], { tail?: number; q?: string; before?: number; follow?: string }, Id>;
  "/api/v1/workflows/catalog": Get<{ workflows: CatalogEntry[] }>;
  "/api/v1/workflows/check": Post<{ source: string; file?: string }, Checked>;
  "/api/v1/sessions/codes": Post<Record<string, never>, { code: string; expires_in_ms: number; path: string }>;
  "/api/v1/runs/bulk": Post<
    {
      action: "cancel" | "rerun" | "pause" | "resume";
      ids?: string[];
      filter?: RunFilter;
      dry_run?: boolean;
      reason?: string;
      recorded?: boolean;
    },
    BulkResult
  >;
  "/api/v1/tasks/bulk": Post<
    { action: "cancel"; ids?: string[]; filter?: TaskFilter; dry_run?: boolean; reason?: string },
    BulkResult
  >;
  "/api/v1/dead/bulk": Post<
    {
      action: "retry" | "discard";
      ids?: string[];
      filter?: { worker?: string; queue?: string };
      dry_run?: boolean;
      reason?: string;
    },
    BulkResult
  >;
};

/** Lists whose rows are closer than openapi.json; submitting stays as it is there. */
type Lists = {
  "/api/v1/runs": Get<{ runs: Run[]; next_cursor?: string | null }, RunFilter> & Pick<paths["/api/v1/runs"], "post">;
  "/api/v1/tasks": Get<{ tasks: Task[]; next_cursor?: string | null }, TaskFilter> &
    Pick<paths["/api/v1/tasks"], "post">;
};

export type Paths = Omit<paths, keyof Closer | keyof Lists> & Closer & Lists;
