import { Link } from "@tanstack/react-router";
import { Ban, FlaskConical, RotateCcw } from "lucide-react";
import { useState } from "react";
import { api, once, unwrap } from "../../api/client";
import type { Task } from "../../api/paths";
import { useGet } from "../../api/query";
import { useParam } from "../../app/use-filters";
import { useAct } from "../../kit/act";
import { Marks, StateBadge } from "../../kit/badge";
import { Button, buttonClass } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Confirm } from "../../kit/dialog";
import { count, visible } from "../../kit/format";
import { Card, Columns, Facts, Page as Frame, Stat, Stats } from "../../kit/page";
import { ErrorBox, Loaded, Notice } from "../../kit/said";
import { isEnded } from "../../kit/state";
import { Json, Meter, Text } from "../../kit/text";
import { Money, Span, Time } from "../../kit/time";
import { useTaskTexts } from "../../live/use-texts";
import { TaskCalls } from "./calls";
import { paid } from "./paid";
import css from "./tasks.module.css";
import { rereadTask, TaskWhy } from "./waiting";

function Figures({ task }: { task: Task }) {
  const begun = task.started_at;
  return (
    <Stats>
      <Stat name="Waited">
        <Span from={task.ready_at ?? task.created_at} to={begun ?? task.ended_at} />
      </Stat>
      <Stat name="Worked">
        {begun ? <Span from={begun} to={task.ended_at} /> : <span className="muted">not begun</span>}
      </Stat>
      <Stat name="Attempts" note={task.max_attempts ? `of ${task.max_attempts} at most` : undefined}>
        {task.attempt}
      </Stat>
      <Stat
        name="Cost"
        note={task.replayed ? `replayed ${task.replayed} calls, paid $0` : `${count(task.calls)} model calls`}
      >
        <Money nano={paid(task)} />
      </Stat>
      <Stat name="Tokens" note="sent and received">
        {count(task.input_tokens)} / {count(task.output_tokens)}
      </Stat>
    </Stats>
  );
}

function Attempts({ task }: { task: Task }) {
  if (!task.attempts?.length) return null;
  return (
    <Card title="Attempts that failed">
      <ol className={css.attempts}>
        {task.attempts.map((one) => (
          <li key={one.number} className={css.attempt}>
            <div className={css.attemptHead}>
              <strong>Attempt {one.number}</strong>
              <span className="muted">
                <Time at={one.started_at} />, <Span from={one.started_at} to={one.ended_at} />
              </span>
              <span>{one.error.category.replaceAll("_", " ")}</span>
            </div>
            <Text text={one.error.message} name={`attempt-${one.number}.txt`} />
          </li>
        ))}
      </ol>
    </Card>
  );
}

function Logs({ id, live }: { id: string; live: boolean }) {
  const logs = useGet(
    "/api/v1/tasks/{id}/logs",
    { params: { path: { id }, query: { tail: 500 } } },
    { refetchInterval: live ? 2_000 : false },
  );
  if (logs.error || !logs.data?.lines.length) return null;
  return (
    <Card title="Log">
      <div className={css.logs} role="log" aria-label="Log of the task" tabIndex={0}>
        {logs.data.lines.map((line) => (
          <div key={line.number} className={css.line} data-stream={line.stream}>
            <Time at={line.at} />
            <span>{line.stream}</span>
            <span>{visible(line.text)}</span>
          </div>
        ))}
      </div>
    </Card>
  );
}

function Actions({ task }: { task: Task }) {
  const { busy, act } = useAct("/api/v1/tasks/{id}", "/api/v1/tasks");
  const [asking, setAsking] = useState(false);
  const path = { id: task.id };
  const open = !isEnded(task.state);
  return (
    <>
      <CopyAs
        recipe={{
          method: "GET",
          path: `/api/v1/tasks/${task.id}`,
          cli: `tasks show ${task.id}`,
          python: `print(client.tasks.get("${task.id}"))`,
          typescript: `console.log(await client.tasks.get("${task.id}"));`,
        }}
      />
      {!open && (
        <Link to="/try" search={{ worker: task.worker, task: task.id } as never} className={buttonClass()}>
          <FlaskConical aria-hidden />
          Try again, edited
        </Link>
      )}
      {(task.state === "failed" || task.state === "discarded") && !task.run && (
        <Button
          may="operate"
          icon={RotateCcw}
          busy={busy === "retry"}
          onClick={() =>
            void act(
              "retry",
              () =>
                unwrap(
                  api.POST("/api/v1/tasks/{id}/retry", { params: { path }, headers: { "idempotency-key": once() } }),
                ),
              "It is tried again",
            )
          }
        >
          Retry
        </Button>
      )}
      {open && (
        <Button may="submit" kind="danger" icon={Ban} onClick={() => setAsking(true)}>
          Cancel
        </Button>
      )}
      {asking && (
        <Confirm
          title={`Cancel ${task.id}?`}
          yes="Cancel the task"
          danger
          run={() => unwrap(api.POST("/api/v1/tasks/{id}/cancel", { params: { path }, body: {} })).then(rereadTask)}
          onClose={() => setAsking(false)}
        >
          <p>A call of a model that is under way is stopped within a second, and may still cost.</p>
        </Confirm>
      )}
    </>
  );
}

function Detail({ task, texts }: { task: Task; texts: string }) {
  return (
    <>
      {!isEnded(task.state) && <TaskWhy id={task.id} reason={task.reason} run={task.run} />}
      {task.error && (
        <Notice tone="bad">
          <strong>{task.error.category.replaceAll("_", " ")}</strong>: {visible(task.error.message)}
        </Notice>
      )}
      {task.degraded && task.degraded_reason && <Notice tone="warn">Degraded: {visible(task.degraded_reason)}</Notice>}
      <Figures task={task} />
      {task.progress && (
        <Card title="Progress">
          <Meter share={task.progress.done} label={`${Math.round(task.progress.done * 100)} % done`} />
          {task.progress.message && <p>{visible(task.progress.message)}</p>}
        </Card>
      )}
      {texts && !isEnded(task.state) && (
        <Card title="The model writes">
          <Text text={texts} name={`${task.id}.txt`} />
        </Card>
      )}
      <Columns>
        <Card title="Input">
          {task.input === undefined ? (
            <p className="muted">This server does not tell the input of a task.</p>
          ) : (
            <Json value={task.input} name={`${task.id}-input.json`} />
          )}
        </Card>
        <Card title="Output">
          {task.output === undefined || task.output === null ? (
            <p className="muted">{isEnded(task.state) ? "There is none." : "Not yet."}</p>
          ) : (
            <Json value={task.output} name={`${task.id}-output.json`} />
          )}
        </Card>
      </Columns>
      <Attempts task={task} />
      <Columns>
        <Card title="About it">
          <Facts
            of={[
              [
                "Worker",
                <Link key="w" to="/workers/$name" params={{ name: task.worker }}>
                  {visible(task.worker)}
                </Link>,
              ],
              ["Queue", visible(task.queue)],
              ["Priority", task.priority],
              [
                "Run",
                task.run && (
                  <Link to="/runs/$run" params={{ run: task.run }}>
                    {task.run}
                  </Link>
                ),
              ],
              ["Step", task.step && <code>{visible(task.step)}</code>],
              ["Submitted", <Time key="t" at={task.created_at} />],
              ["Begun", task.started_at && <Time at={task.started_at} />],
              ["Ended", task.ended_at && <Time at={task.ended_at} />],
              ["Deadline", task.deadline && <Time at={task.deadline} />],
              ["Host", task.host],
              ["Answered by", task.provider && `${task.provider}${task.model ? `, ${task.model}` : ""}`],
              ["Labels needed", task.requires?.length ? task.requires.join(", ") : null],
              ["Concurrency key", task.key && visible(task.key)],
              ["Reused from", task.reused],
            ]}
          />
        </Card>
        <TaskCalls task={task.id} />
      </Columns>
      <Logs id={task.id} live={!isEnded(task.state)} />
    </>
  );
}

export function Page() {
  const id = useParam("task");
  const task = useGet(
    "/api/v1/tasks/{id}",
    { params: { path: { id } } },
    { refetchInterval: (query) => (isEnded((query.state.data as Task | undefined)?.state) ? false : 1_500) },
  );
  const texts = useTaskTexts(task.data && isEnded(task.data.state) ? null : id);
  const known = task.data;
  return (
    <Frame
      title={known ? visible(known.worker) : id}
      badge={
        known && (
          <>
            <StateBadge state={known.state} />
            <Marks of={known} />
          </>
        )
      }
      sub={<span className="mono">{id}</span>}
      actions={known && <Actions task={known} />}
    >
      {task.error?.status === 404 ? (
        <ErrorBox error={task.error} />
      ) : (
        <Loaded of={task} what="The task">
          {(data) => <Detail task={data} texts={texts} />}
        </Loaded>
      )}
    </Frame>
  );
}
