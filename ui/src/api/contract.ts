// Shapes of routes that openapi.json does not describe closely enough, or not yet.
import type { components, paths } from "./schema";

type S = components["schemas"];
export type JsonSchema = Record<string, unknown>;
export type Counts = Partial<Record<string, number>>;

export type Attempt = S["Attempt"];

export type Task = S["Task"];

export type Run = S["Run"];

export type GraphStep = S["GraphStep"];

export type GraphBlock = S["GraphBlock"];

export type Graph = S["Graph"];

export type Items = S["ItemPage"];
export type Explained = S["StepReason"];
export type Explanation = S["Explanation"];

export type Me = S["Me"];

export type AllCounts = S["Counts"];

export type SeriesLine = S["Series"];
export type Series = S["SeriesReport"];

export type Uses = S["ProcessUse"];
export type System = S["SystemReport"];

export type Hit = S["SearchHit"];
export type BulkResult = S["BulkResult"];
export type DeadGroup = S["DeadGroup"];

export type CatalogEntry = Omit<S["CatalogEntry"], "inputs"> & { inputs?: JsonSchema };
export type SourceProblem = S["SourceProblem"];
export type Checked = S["Checked"];
export type CallDetail = S["CallAnswered"];
export type CostRow = S["Cost"] & { day?: string };
export type CostReport = S["CostReport"];
export type Alias = S["ModelAlias"];
export type AuditVerdict = S["AuditCheck"];
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
  "/api/v1/tasks/{id}/logs": Get<S["LogLines"], { tail?: number }, Id>;
  "/api/v1/workflows/catalog": Get<{ workflows: CatalogEntry[] }>;
  "/api/v1/config": Get<{ settings: Setting[] }>;
  "/api/v1/doctor": Get<{ ok: boolean; checks: DoctorCheck[] }>;
};

/** Lists whose rows are closer than openapi.json; submitting stays as it is there. */
type Lists = {
  "/api/v1/runs": Get<{ runs: Run[]; next_cursor?: string | null }, RunFilter> & Pick<paths["/api/v1/runs"], "post">;
  "/api/v1/tasks": Get<{ tasks: Task[]; next_cursor?: string | null }, TaskFilter> &
    Pick<paths["/api/v1/tasks"], "post">;
};

export type Paths = Omit<paths, keyof Closer | keyof Lists> & Closer & Lists;
