import { Link } from "@tanstack/react-router";
import { FlaskConical, Pause, Play, Trash2 } from "lucide-react";
import { useState } from "react";
import { api, unwrap } from "../../api/client";
import { reread, useGet } from "../../api/query";
import { useCounts } from "../../app/shell";
import { useParam } from "../../app/use-filters";
import { useAct } from "../../kit/act";
import { StateBadge } from "../../kit/badge";
import { Button, buttonClass } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Confirm } from "../../kit/dialog";
import { count, percent, visible } from "../../kit/format";
import { Card, Columns, Facts, Page as Frame, Stat, Stats } from "../../kit/page";
import { Empty, Loaded, Notice } from "../../kit/said";
import { shell } from "../../kit/snippets";
import { Json } from "../../kit/text";
import { Duration, Time } from "../../kit/time";
import { useLiveReads } from "../../live/use-live";
import { ScriptLog } from "./log";
import { absence, type Health, type Script, scriptOf } from "./model";
import { Processes } from "./processes";
import { ScriptCare } from "./scripts";

const READ = ["/api/v1/workers/status", "/api/v1/counts", "/api/v1/queues"];

function PauseButton({ name }: { name: string }) {
  const counts = useCounts();
  const { busy, act } = useAct(...READ);
  const paused = counts?.paused.some((one) => one.kind === "worker" && one.name === name) ?? false;
  const route = paused ? "resume" : "pause";
  const send = (): Promise<unknown> =>
    paused
      ? unwrap(api.POST("/api/v1/workers/{name}/resume", { params: { path: { name } }, body: {} }))
      : unwrap(api.POST("/api/v1/workers/{name}/pause", { params: { path: { name } }, body: {} }));
  return (
    <>
      <CopyAs
        recipe={{
          method: "POST",
          path: `/api/v1/workers/${encodeURIComponent(name)}/${route}`,
          body: {},
          cli: `workers ${route} ${shell(name)}`,
        }}
      />
      <Button
        may="operate"
        icon={paused ? Play : Pause}
        busy={busy !== null}
        onClick={() => void act(route, send, paused ? `${visible(name)} goes on` : `${visible(name)} is paused`)}
      >
        {paused ? "Resume" : "Pause"}
      </Button>
    </>
  );
}

function Forget({ name }: { name: string }) {
  const [asking, setAsking] = useState(false);
  return (
    <>
      <Button may="operate" kind="danger" icon={Trash2} onClick={() => setAsking(true)}>
        Forget
      </Button>
      {asking && (
        <Confirm
          title={`Forget ${visible(name)}?`}
          yes="Forget it"
          danger
          run={() =>
            unwrap(api.DELETE("/api/v1/workers/{name}", { params: { path: { name } } })).then(() =>
              reread(...READ, "/api/v1/workers"),
            )
          }
          onClose={() => setAsking(false)}
        >
          <p>Its schema is forgotten until a host or script brings it again. Its tasks stay.</p>
        </Confirm>
      )}
    </>
  );
}

function HealthCards({ health }: { health: Health }) {
  return (
    <>
      {absence(health) && <Notice tone="bad">{absence(health)}</Notice>}
      {health.last_error && (
        <Notice tone="warn">
          Its last error: {visible(health.last_error)}{" "}
          <Link to="/tasks" search={{ worker: health.name, state: "failed", steps: "true" } as never}>
            All that failed
          </Link>
        </Notice>
      )}
      <Stats>
        <Stat name="Running" note={`${count(health.ready)} ready`}>
          {count(health.running)}
        </Stat>
        <Stat name="Succeeded" note="since the server was started">
          {count(health.succeeded)}
        </Stat>
        <Stat name="Failed" note={`${percent(health.failure_rate)} of all that ended`}>
          {count(health.failed)}
        </Stat>
        <Stat name="Mean time" note="of an attempt that succeeded">
          <Duration ms={health.mean_ms} />
        </Stat>
        <Stat name="Last end">
          <Time at={health.last_run} age />
        </Stat>
      </Stats>
    </>
  );
}

function Contract({ name }: { name: string }) {
  const worker = useGet("/api/v1/workers/{name}", { params: { path: { name } } });
  if (!worker.data) return null;
  const { input, output, queue, slots, timeout_ms, requires, retry } = worker.data;
  return (
    <>
      <Columns>
        <Card title="Takes">{input ? <Json value={input} /> : <p className="muted">It names no schema.</p>}</Card>
        <Card title="Gives">{output ? <Json value={output} /> : <p className="muted">It names no schema.</p>}</Card>
      </Columns>
      <Card title="About it">
        <Facts
          of={[
            ["Queue", queue && visible(queue)],
            ["Slots", slots != null && count(slots)],
            ["Time limit", timeout_ms != null && <Duration ms={timeout_ms} />],
            ["Labels needed", requires?.length ? visible(requires.join(", ")) : null],
            ["Attempts", retry?.max_attempts],
          ]}
        />
      </Card>
    </>
  );
}

function ScriptCards({ script }: { script: Script }) {
  return (
    <>
      <Card title="Script">
        <ScriptCare script={script} />
        <Facts
          of={[
            ["File", <code key="f">{visible(script.file)}</code>],
            ["Kind", `${script.kind}, ${script.mode}`],
            ["Why", visible(script.why)],
            ["Uses", script.uses ? visible(script.uses) : null],
            ["Run by", script.interpreter ? <code key="i">{visible(script.interpreter)}</code> : null],
          ]}
        />
      </Card>
      <Processes script={script} />
      <ScriptLog key={script.id} id={script.id} name={script.name} />
    </>
  );
}

/** A worker by name, or a script by id. */
export function Page() {
  const name = useParam("name");
  const status = useGet("/api/v1/workers/status", undefined, { keep: true, refetchInterval: 5_000 });
  useLiveReads("workers", READ, 1_000);
  const script = scriptOf(status.data?.scripts ?? [], name);
  const health = status.data?.workers.find((one) => one.name === (script?.name ?? name));
  return (
    <Frame
      title={visible(script?.name ?? name)}
      badge={
        <>
          {health && <StateBadge state={health.state} />}
          {script && <StateBadge state={script.standing === "started" ? script.state : script.standing} />}
        </>
      }
      sub={<Link to="/workers">All workers</Link>}
      actions={
        health && (
          <>
            <Link to="/try" search={{ worker: health.name } as never} className={buttonClass("primary")}>
              <FlaskConical aria-hidden />
              Try it
            </Link>
            <PauseButton name={health.name} />
            {health.state === "absent" && <Forget name={health.name} />}
          </>
        )
      }
    >
      <Loaded of={status} what="The worker">
        {() =>
          !health && !script ? (
            <Empty title="No worker or script has this name" command="kapelle workers list">
              It may have been renamed, or its file was taken out of workers/.
            </Empty>
          ) : (
            <>
              {health && <HealthCards health={health} />}
              {script && <ScriptCards script={script} />}
              {health && <Contract name={health.name} />}
            </>
          )
        }
      </Loaded>
    </Frame>
  );
}
