// Every state of the product: its word, its colour and its shape, so that none is told by colour alone.

export type Tone = "good" | "bad" | "warn" | "info" | "park" | "calm";
export type Shape =
  | "check"
  | "cross"
  | "play"
  | "clock"
  | "pause"
  | "ring"
  | "dash"
  | "skip"
  | "coin"
  | "alert"
  | "dot"
  | "retry";
export type Look = { word: string; tone: Tone; shape: Shape };

const LOOKS: Record<string, Look> = {
  succeeded: { word: "succeeded", tone: "good", shape: "check" },
  failed: { word: "failed", tone: "bad", shape: "cross" },
  running: { word: "running", tone: "info", shape: "play" },
  cancelling: { word: "cancelling", tone: "warn", shape: "dash" },
  failing: { word: "failing", tone: "bad", shape: "alert" },
  cancelled: { word: "cancelled", tone: "calm", shape: "dash" },
  discarded: { word: "discarded", tone: "calm", shape: "dash" },
  skipped: { word: "skipped", tone: "calm", shape: "skip" },
  scheduled: { word: "scheduled", tone: "calm", shape: "clock" },
  ready: { word: "ready", tone: "calm", shape: "ring" },
  retrying: { word: "retrying", tone: "warn", shape: "retry" },
  held: { word: "held", tone: "warn", shape: "pause" },
  parked: { word: "parked", tone: "park", shape: "coin" },
  waiting: { word: "waiting", tone: "warn", shape: "clock" },
  pending: { word: "not begun", tone: "calm", shape: "dot" },
  paused: { word: "paused", tone: "warn", shape: "pause" },
  busy: { word: "busy", tone: "info", shape: "play" },
  idle: { word: "idle", tone: "good", shape: "ring" },
  absent: { word: "absent", tone: "bad", shape: "cross" },
  "-": { word: "not started", tone: "calm", shape: "dot" },
  not_started: { word: "not started", tone: "calm", shape: "dot" },
  startable: { word: "startable", tone: "calm", shape: "ring" },
  started: { word: "started", tone: "good", shape: "check" },
  cannot_start: { word: "cannot start", tone: "bad", shape: "alert" },
  starting: { word: "starting", tone: "info", shape: "clock" },
  stopping: { word: "stopping", tone: "warn", shape: "dash" },
  stopped: { word: "stopped", tone: "calm", shape: "dash" },
  finished: { word: "finished", tone: "good", shape: "check" },
  crashed: { word: "crashed", tone: "bad", shape: "alert" },
  queued: { word: "queued", tone: "info", shape: "clock" },
  overlapped: { word: "skipped", tone: "warn", shape: "skip" },
  missed: { word: "missed", tone: "warn", shape: "alert" },
  refused: { word: "refused", tone: "bad", shape: "cross" },
  open: { word: "open", tone: "info", shape: "play" },
  charged: { word: "charged", tone: "good", shape: "check" },
  free: { word: "free", tone: "good", shape: "ring" },
  unknown: { word: "unknown", tone: "warn", shape: "alert" },
  given: { word: "given", tone: "calm", shape: "check" },
  ok: { word: "ok", tone: "good", shape: "check" },
  warning: { word: "warning", tone: "warn", shape: "alert" },
  critical: { word: "critical", tone: "bad", shape: "cross" },
};

export function lookOf(state: string | null | undefined): Look {
  if (!state) return { word: "unknown", tone: "calm", shape: "dot" };
  return LOOKS[state] ?? { word: state.replaceAll("_", " "), tone: "calm", shape: "dot" };
}

const ENDED = new Set(["succeeded", "failed", "cancelled", "discarded", "skipped"]);

export function isEnded(state: string | null | undefined): boolean {
  return state != null && ENDED.has(state);
}
