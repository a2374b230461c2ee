// Roles and what they may do, and the fields of a new key. Pure.
import type { Permission } from "../../app/use-session";

export const ROLES = ["admin", "operator", "developer", "viewer", "worker"] as const;
export type Role = (typeof ROLES)[number];

/** What a permission opens, in the words of this console. The server holds the rules; docs/guides/teams.md has them. */
export const RIGHTS: { permission: Permission | "work"; name: string; about: string; roles: readonly Role[] }[] = [
  {
    permission: "read",
    name: "See",
    about: "Runs, tasks, logs, spending of the tenant",
    roles: ["admin", "operator", "developer", "viewer"],
  },
  {
    permission: "submit",
    name: "Start",
    about: "Submit tasks, start, pause and cancel runs, save workflows",
    roles: ["admin", "operator", "developer"],
  },
  {
    permission: "ask",
    name: "Ask models",
    about: "Call models through the gateway with the key itself",
    roles: ["admin", "operator", "developer"],
  },
  {
    permission: "approve",
    name: "Approve",
    about: "Answer steps that wait for a person",
    roles: ["admin", "operator"],
  },
  {
    permission: "operate",
    name: "Operate",
    about: "Pause queues and workers, restart and scale scripts, retry dead letters",
    roles: ["admin", "operator"],
  },
  { permission: "work", name: "Work", about: "Take tasks as a host", roles: ["admin", "worker"] },
  { permission: "administer", name: "Administer", about: "Keys, budgets, audit trail", roles: ["admin"] },
];

export const LIFETIMES = [
  { value: "", label: "without end" },
  { value: "1", label: "a day" },
  { value: "30", label: "30 days" },
  { value: "90", label: "90 days" },
  { value: "365", label: "a year" },
];

export type Draft = {
  name: string;
  role: Role;
  days: string;
  workers: string;
  queues: string;
  limit: string;
  approve: boolean;
  submit: boolean;
  ask: boolean;
};

export const NEW_KEY: Draft = {
  name: "",
  role: "developer",
  days: "90",
  workers: "",
  queues: "",
  limit: "",
  approve: false,
  submit: false,
  ask: false,
};

function list(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .map((one) => one.trim())
    .filter(Boolean);
}

export type NewKey = {
  name: string;
  role: string;
  expires_in_ms?: number;
  workers?: string[];
  queues?: string[];
  approve?: boolean;
  submit?: boolean;
  ask?: boolean;
  limit_nanousd?: number;
};

/** The request for a key; fields that its role does not have are left out. */
export function keyBody(draft: Draft, limit: number | null): NewKey {
  const body: NewKey = { name: draft.name.trim(), role: draft.role };
  if (draft.days) body.expires_in_ms = Number(draft.days) * 86_400_000;
  if (draft.role === "worker") {
    if (list(draft.workers).length > 0) body.workers = list(draft.workers);
    if (list(draft.queues).length > 0) body.queues = list(draft.queues);
    if (draft.submit) body.submit = true;
    if (draft.ask) body.ask = true;
  }
  if (draft.approve && (draft.role === "developer" || draft.role === "viewer")) body.approve = true;
  if (limit !== null) body.limit_nanousd = limit;
  return body;
}

/** The same as a line of the command line. */
export function keyCli(body: NewKey): string {
  const parts = ["keys create", JSON.stringify(body.name), `--role ${body.role}`];
  if (body.expires_in_ms) parts.push(`--expires ${body.expires_in_ms / 86_400_000}d`);
  if (body.workers) parts.push(`--workers ${body.workers.join(",")}`);
  if (body.queues) parts.push(`--queues ${body.queues.join(",")}`);
  if (body.submit) parts.push("--submit");
  if (body.ask) parts.push("--ask");
  if (body.approve) parts.push("--approve");
  if (body.limit_nanousd !== undefined) parts.push(`--limit '$${body.limit_nanousd / 1e9}'`);
  return parts.join(" ");
}

export type KeyState = "revoked" | "expired" | "valid";

export function stateOf(key: { revoked_at?: string | null; expires_at?: string | null }, now: number): KeyState {
  if (key.revoked_at) return "revoked";
  return key.expires_at && Date.parse(key.expires_at) <= now ? "expired" : "valid";
}
