import { Link } from "@tanstack/react-router";
import { Hourglass } from "lucide-react";
import type { ReactNode } from "react";
import { api, once, unwrap } from "../../api/client";
import type { Explained } from "../../api/paths";
import { reread, useGet } from "../../api/query";
import { useAct } from "../../kit/act";
import { Button, buttonClass } from "../../kit/button";
import { many, visible } from "../../kit/format";
import { Command, Notice } from "../../kit/said";
import { reason } from "../../kit/time";

type Why = Pick<Explained, "why" | "waiting" | "ahead" | "lift"> & { run?: string | null };

/** The button that lifts what something waits for. */
function Lift({ of }: { of: Why }) {
  const { busy, act } = useAct(
    "/api/v1/tasks/{id}",
    "/api/v1/runs/{id}",
    "/api/v1/runs/{id}/explain",
    "/api/v1/queues",
  );
  const waiting = of.waiting;
  const field = (name: string): string => String((waiting as Record<string, unknown> | null | undefined)?.[name] ?? "");
  const link = (to: string, search: Record<string, string>, words: ReactNode): ReactNode => (
    <Link to={to} search={search as never} className={buttonClass("plain", true)}>
      {words}
    </Link>
  );
  switch (waiting?.for) {
    case "paused": {
      const name = field("name");
      const resume = (): Promise<unknown> =>
        field("kind") === "queue"
          ? unwrap(api.POST("/api/v1/queues/{name}/resume", { params: { path: { name } }, body: {} }))
          : unwrap(api.POST("/api/v1/workers/{name}/resume", { params: { path: { name } }, body: {} }));
      return (
        <Button
          small
          may="operate"
          busy={busy === "resume"}
          onClick={() => void act("resume", resume, `${field("kind")} ${name} goes on`)}
        >
          Resume {field("kind")} {visible(name)}
        </Button>
      );
    }
    case "run_paused": {
      const run = of.run;
      if (!run) return null;
      return (
        <Button
          small
          may="submit"
          busy={busy === "run"}
          onClick={() =>
            void act(
              "run",
              () =>
                unwrap(
                  api.POST("/api/v1/runs/{id}/resume", {
                    params: { path: { id: run } },
                    headers: { "idempotency-key": once() },
                  }),
                ),
              `${run} goes on`,
            )
          }
        >
          Resume the run
        </Button>
      );
    }
    case "money":
      return link("/inbox", {}, "Raise the budget");
    case "approval":
      return link("/inbox", {}, "Answer it");
    case "slot":
      return link("/queues", { queue: field("queue") }, "See the queue");
    case "served":
    case "listener":
    case "labels":
    case "script":
      return link("/workers", {}, "See the workers");
    case "rate":
      return link("/providers", {}, "See the providers");
    case "run":
      return (
        <Link to="/runs/$run" params={{ run: field("run") }} className={buttonClass("plain", true)}>
          Open {field("run")}
        </Link>
      );
    default:
      return null;
  }
}

/** Why something does not run, with what changes that. */
export function WhyNotice({ of }: { of: Why }) {
  return (
    <Notice tone={of.waiting?.for === "money" ? "park" : "warn"} icon={Hourglass} action={<Lift of={of} />}>
      {reason(of.why)}
      {!!of.ahead && ` ${many(of.ahead, "task")} ahead of it in its lane.`}
      {of.lift && (
        <div>
          <Command>{of.lift}</Command>
        </div>
      )}
    </Notice>
  );
}

/** The reason for which a task waits, read again while it does. */
export function TaskWhy({ id, reason, run }: { id: string; reason?: string | null; run?: string | null }) {
  const told = useGet("/api/v1/tasks/{id}/explain", { params: { path: { id } } }, { refetchInterval: 2_000 });
  const step = told.data?.steps[0];
  if (step && !step.ended && step.state !== "running") return <WhyNotice of={{ ...step, run }} />;
  if (told.error && reason) return <WhyNotice of={{ why: reason, run }} />;
  return null;
}

export function rereadTask(): void {
  reread("/api/v1/tasks/{id}", "/api/v1/tasks", "/api/v1/tasks/{id}/explain");
}
