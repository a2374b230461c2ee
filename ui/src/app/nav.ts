import {
  Activity,
  Boxes,
  CalendarClock,
  CircleDollarSign,
  Coins,
  FlaskConical,
  Inbox,
  KeyRound,
  Layers,
  ListChecks,
  type LucideIcon,
  Network,
  Play,
  PlugZap,
  Server,
  Skull,
  Workflow,
} from "lucide-react";

export type Place = { to: string; name: string; icon: LucideIcon; about: string; phone?: boolean; keys?: string };

/** The pages, in the order of the navigation. */
export const PLACES: Place[][] = [
  [
    { to: "/try", name: "Try", icon: FlaskConical, about: "One task, by hand", phone: true, keys: "g t" },
    { to: "/analyse", name: "Analyse", icon: Layers, about: "All workers over one text", phone: true, keys: "g a" },
    { to: "/monitor", name: "Monitor", icon: Activity, about: "How the server is doing", phone: true, keys: "g m" },
  ],
  [
    { to: "/runs", name: "Runs", icon: Play, about: "Runs of workflows", phone: true, keys: "g r" },
    { to: "/tasks", name: "Tasks", icon: ListChecks, about: "Single tasks and steps", keys: "g k" },
    { to: "/inbox", name: "Inbox", icon: Inbox, about: "What waits for a person", phone: true, keys: "g i" },
    { to: "/workflows", name: "Workflows", icon: Workflow, about: "Definitions and their versions", keys: "g w" },
    { to: "/schedules", name: "Schedules", icon: CalendarClock, about: "Runs and tasks at set times", keys: "g e" },
  ],
  [
    { to: "/queues", name: "Queues", icon: Network, about: "Depth, slots, lanes" },
    { to: "/workers", name: "Workers", icon: Boxes, about: "Workers, hosts, scripts", keys: "g o" },
    { to: "/dead", name: "Dead", icon: Skull, about: "Tasks that failed for good" },
  ],
  [
    { to: "/spend", name: "Spend", icon: CircleDollarSign, about: "Money and budgets", keys: "g s" },
    { to: "/calls", name: "Calls", icon: Coins, about: "Calls of models" },
    { to: "/providers", name: "Providers", icon: PlugZap, about: "Circuits, rates, errors" },
  ],
  [
    { to: "/access", name: "Access", icon: KeyRound, about: "Keys, roles, audit" },
    { to: "/system", name: "System", icon: Server, about: "Health, doctor, configuration" },
  ],
];

export const ALL_PLACES = PLACES.flat();
export const PHONE = ALL_PLACES.filter((place) => place.phone);
