// What comes over the socket.
import type { AllCounts } from "../api/contract";

export type RunDelta = {
  id: string;
  workflow: string;
  state: string;
  paused: boolean;
  seq: number;
  created_at: string;
  ended_at?: string;
};
export type TaskDelta = {
  id: string;
  worker: string;
  queue: string;
  state: string;
  attempt: number;
  run?: string;
  step?: string;
  at: string;
  wait?: string;
  category?: string;
  degraded?: boolean;
  stand_in?: boolean;
  cached?: boolean;
  cost_nanousd?: number;
  needs_nanousd?: number;
  started_at?: string;
  ended_at?: string;
};
export type TextDelta = {
  task: string;
  step?: string;
  attempt: number;
  part: number;
  offset: number;
  text: string;
  ended: boolean;
};
export type CallDelta = {
  id: string;
  task?: string;
  run?: string;
  provider: string;
  model: string;
  state: string;
  cost_nanousd: number;
  input_tokens: number;
  output_tokens: number;
};
export type BudgetDelta = { account: string; limit_nanousd: number };
export type GateDelta = { kind: "queue" | "worker"; name: string; paused: boolean };
export type LiveEvent = { event: string; at?: string } & Record<string, unknown>;
export type LogLine = { number: number; at: string; instance: number; stream: string; text: string };
export type Stats = {
  at: string;
  counts: AllCounts;
  per_s: { ended: number; failed: number; calls: number; spent_nanousd: number };
};

export type LiveFrame = {
  topic: string;
  cursor?: string;
  resync?: true;
  subscribed?: string[];
  refused?: { topic: string; detail: string }[];
  run?: RunDelta;
  runs?: RunDelta[];
  tasks?: TaskDelta[];
  steps?: TaskDelta[];
  texts?: TextDelta[];
  calls?: CallDelta[];
  budgets?: BudgetDelta[];
  gates?: GateDelta[];
  events?: LiveEvent[];
  lines?: LogLine[];
  missed?: number;
  stats?: Stats;
};
