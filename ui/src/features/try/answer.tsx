import { Link } from "@tanstack/react-router";
import { Ban } from "lucide-react";
import { api, unwrap } from "../../api/client";
import type { Task } from "../../api/paths";
import { useGet } from "../../api/query";
import { useAct } from "../../kit/act";
import { Answer } from "../../kit/answer";
import { Marks, StateBadge } from "../../kit/badge";
import { Button } from "../../kit/button";
import { count, visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { Loaded, Notice } from "../../kit/said";
import { isEnded } from "../../kit/state";
import { Meter, Text } from "../../kit/text";
import { Money, Span } from "../../kit/time";
import { useTaskTexts } from "../../live/use-texts";
import { paid } from "../tasks/paid";
import { TaskWhy } from "../tasks/waiting";
import css from "./try.module.css";

/** How often a task is read: often while it is young, since most answers come within a second. */
function interval(task: Task | undefined): number | false {
  if (!task) return 500;
  if (isEnded(task.state)) return false;
  return Date.now() - Date.parse(task.created_at) < 5_000 ? 400 : 1_500;
}

function Figures({ task }: { task: Task }) {
  const begun = task.started_at;
  return (
    <dl className={css.figures}>
      <div>
        <dt>{begun ? "Waited" : "Took"}</dt>
        <dd>
          <Span from={begun ? (task.ready_at ?? task.created_at) : task.created_at} to={begun ?? task.ended_at} />
        </dd>
      </div>
      {begun && (
        <div>
          <dt>Worked</dt>
          <dd>
            <Span from={begun} to={task.ended_at} />
          </dd>
        </div>
      )}
      <div>
        <dt>Attempts</dt>
        <dd>{task.attempt}</dd>
      </div>
      <div>
        <dt>Tokens</dt>
        <dd title="sent and received">
          {count(task.input_tokens ?? 0)} / {count(task.output_tokens ?? 0)}
        </dd>
      </div>
      <div>
        <dt>Cost</dt>
        <dd>
          <Money nano={paid(task)} />
        </dd>
      </div>
    </dl>
  );
}

function by(task: Task): string {
  if (task.provider) return `${task.provider}${task.model ? `, ${task.model}` : ""}`;
  return task.degraded ? "an offline method" : "";
}

function Body({ task, text }: { task: Task; text: string }) {
  const ended = isEnded(task.state);
  return (
    <>
      <Figures task={task} />
      {by(task) && <div className="muted">Answered by {visible(by(task))}</div>}
      {!ended && <TaskWhy id={task.id} reason={task.reason} run={task.run} />}
      {task.degraded && task.degraded_reason && <Notice tone="warn">Degraded: {visible(task.degraded_reason)}</Notice>}
      {task.error && (
        <Notice tone="bad">
          <strong>{task.error.category.replaceAll("_", " ")}</strong>: {visible(task.error.message)}
        </Notice>
      )}
      {task.progress && !ended && (
        <Meter share={task.progress.done} label={`${Math.round(task.progress.done * 100)} % done`} />
      )}
      {!ended && text && <Text text={text} name={`${task.id}.txt`} prose />}
      {!ended && !text && <p className="muted">The answer comes here by itself.</p>}
      {ended && task.output != null && <Answer value={task.output} name={`${task.id}.json`} />}
    </>
  );
}

/** One submitted task: what it costs in time and money, and what it answers. */
export function TaskAnswer({ id, name }: { id: string; name: string }) {
  const task = useGet(
    "/api/v1/tasks/{id}",
    { params: { path: { id } } },
    { refetchInterval: (query) => interval(query.state.data as Task | undefined) },
  );
  const known = task.data;
  const open = known === undefined || !isEnded(known.state);
  const text = useTaskTexts(open ? id : null);
  const { busy, act } = useAct("/api/v1/tasks/{id}", "/api/v1/tasks");
  return (
    <Card
      title={
        <div className={css.head}>
          <h2>{visible(name)}</h2>
          {known && (
            <>
              <StateBadge state={known.state} />
              <Marks of={known} />
            </>
          )}
        </div>
      }
      actions={
        <>
          {open && known && (
            <Button
              small
              may="submit"
              icon={Ban}
              busy={busy === "cancel"}
              onClick={() =>
                void act(
                  "cancel",
                  () => unwrap(api.POST("/api/v1/tasks/{id}/cancel", { params: { path: { id } }, body: {} })),
                  `${id} is cancelled`,
                )
              }
            >
              Cancel
            </Button>
          )}
          <Link to="/tasks/$task" params={{ task: id }}>
            {id}
          </Link>
        </>
      }
    >
      <div aria-live="polite" className={css.form}>
        <Loaded of={task} what="The task">
          {(data) => <Body task={data} text={text} />}
        </Loaded>
      </div>
    </Card>
  );
}
