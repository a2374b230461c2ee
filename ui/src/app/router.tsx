import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { Page } from "../kit/page";
import { Empty } from "../kit/said";
import { Crash } from "./crash";
import { Shell } from "./shell";

/** Filters of a page: text by name, as they stand in the address. */
export type Search = Record<string, string | undefined>;

const root = createRootRoute({ component: Shell, notFoundComponent: Lost, errorComponent: Crash });

function Lost() {
  return (
    <Page title="There is no such page">
      <Empty title="The address leads nowhere">The navigation has every page; Ctrl-K finds the rest.</Empty>
    </Page>
  );
}

type Module = Record<string, unknown>;

function page<P extends string>(path: P, load: () => Promise<Module>, name = "Page") {
  return createRoute({
    getParentRoute: () => root,
    path,
    validateSearch: (search: Record<string, unknown>): Search =>
      Object.fromEntries(
        Object.entries(search).map(([key, value]) => [key, value === undefined ? undefined : String(value)]),
      ),
    component: lazyRouteComponent(load as () => Promise<Record<string, () => React.ReactNode>>, name),
    errorComponent: Crash,
  });
}

const start = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/runs" });
  },
});

/** Every page; each is loaded when it is first shown. */
const pages = [
  page("/try", () => import("../features/try/page")),
  page("/monitor", () => import("../features/monitor/page")),
  page("/inbox", () => import("../features/approvals/page")),
  page("/schedules", () => import("../features/schedules/list")),
  page("/schedules/$name", () => import("../features/schedules/page")),
  page("/queues", () => import("../features/queues/page")),
  page("/workers", () => import("../features/workers/list")),
  page("/workers/$name", () => import("../features/workers/page")),
  page("/dead", () => import("../features/dead/page")),
  page("/spend", () => import("../features/money/page")),
  page("/calls", () => import("../features/calls/page")),
  page("/providers", () => import("../features/providers/page")),
  page("/access", () => import("../features/access/page")),
  page("/system", () => import("../features/system/page")),
  page("/analyse", () => import("../features/analyse/page")),
  page("/runs", () => import("../features/runs/list")),
  page("/runs/$run", () => import("../features/runs/page")),
  page("/tasks", () => import("../features/tasks/list")),
  page("/tasks/$task", () => import("../features/tasks/page")),
  page("/workflows", () => import("../features/workflows/list")),
  page("/workflows/$name", () => import("../features/workflows/page")),
];

/** Parameters of an address as plain text: `?state=failed&q=12`, nothing quoted. */
function parseSearch(text: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(text));
}

function writeSearch(search: Record<string, unknown>): string {
  const all = Object.entries(search).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(all.map(([name, value]) => [name, String(value)])).toString();
  return text ? `?${text}` : "";
}

export const router = createRouter({
  routeTree: root.addChildren([start, ...pages]),
  basepath: "/ui",
  defaultPreload: "intent",
  parseSearch,
  stringifySearch: writeSearch,
  scrollRestoration: true,
});
