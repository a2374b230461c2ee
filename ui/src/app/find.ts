// What the palette finds without asking: pages, verbs, ids. Pure.
import { ALL_PLACES } from "./nav";

export type Found = { key: string; title: string; kind: string; to: string; state?: string };

const VERBS: { title: string; to: string; words: string }[] = [
  { title: "Submit a task", to: "/try", words: "new run worker test" },
  { title: "Analyse a text", to: "/analyse", words: "new document file workers" },
  { title: "Start a run of a workflow", to: "/workflows", words: "new execute" },
  { title: "Make a schedule", to: "/schedules", words: "cron timer new backfill fire pause" },
  { title: "Approve what waits", to: "/inbox", words: "deny answer question" },
  { title: "Raise a budget", to: "/inbox", words: "money parked limit" },
  { title: "Retry dead letters", to: "/dead", words: "failed discard" },
  { title: "Restart a script", to: "/workers", words: "worker process scale logs" },
  { title: "Pause a queue", to: "/queues", words: "resume stop" },
  { title: "Make a key", to: "/access", words: "token role revoke" },
  { title: "Check the health", to: "/system", words: "doctor config disk" },
];

/** The page of an id: `run_7`, `task_12`, `call_3`; null for other texts. */
export function pageOf(kind: string, id: string): string | null {
  const part = encodeURIComponent(id);
  switch (kind) {
    case "run":
      return `/runs/${part}`;
    case "task":
      return `/tasks/${part}`;
    case "call":
      return `/calls?call=${part}`;
    case "workflow":
      return `/workflows/${part}`;
    case "worker":
    case "script":
      return `/workers/${part}`;
    case "schedule":
      return `/schedules/${part}`;
    case "queue":
      return `/queues?queue=${part}`;
    case "key":
      return "/access";
    default:
      return null;
  }
}

export function ofId(text: string): Found | null {
  const match = /^(run|task|call)_\d+$/.exec(text.trim());
  const kind = match?.[1];
  const to = kind && pageOf(kind, text.trim());
  return kind && to ? { key: `id ${text}`, title: text.trim(), kind, to } : null;
}

/** Pages and verbs whose words hold every word that was typed. */
export function ofWords(text: string): Found[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const places = ALL_PLACES.map((place) => ({ title: place.name, to: place.to, words: place.about, kind: "page" }));
  const verbs = VERBS.map((verb) => ({ ...verb, kind: "action" }));
  return [...places, ...verbs]
    .filter((one) => words.every((word) => `${one.title} ${one.words}`.toLowerCase().includes(word)))
    .map((one) => ({ key: `${one.kind} ${one.title}`, title: one.title, kind: one.kind, to: one.to }));
}
