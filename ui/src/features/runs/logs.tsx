import { useMemo, useState } from "react";
import { useGet } from "../../api/query";
import { SearchField } from "../../kit/fields";
import { visible } from "../../kit/format";
import { Card, Toolbar } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { Time } from "../../kit/time";
import lines from "../tasks/tasks.module.css";
import type { RunStore } from "./store";
import { useVersion } from "./use-run";

/** Steps whose logs are shown together at most. */
const STEPS = 30;

/** The lines that the script of a task wrote while it worked on it. */
export function StepLog({
  task,
  live,
  filter = "",
  title,
}: {
  task: string;
  live: boolean;
  filter?: string;
  title?: string;
}) {
  const logs = useGet(
    "/api/v1/tasks/{id}/logs",
    { params: { path: { id: task }, query: { tail: 500 } } },
    { refetchInterval: live ? 2_000 : false },
  );
  return (
    <Loaded of={logs} what="The log">
      {(data) => {
        const shown = data.lines.filter((line) => !filter || line.text.toLowerCase().includes(filter.toLowerCase()));
        if (shown.length === 0)
          return title ? null : (
            <p className="muted">Its worker wrote nothing, or is none of the scripts of this server.</p>
          );
        return (
          <div>
            {title && <h3>{visible(title)}</h3>}
            <div className={lines.logs} role="log" aria-label={`Log of ${title ?? task}`} tabIndex={0}>
              {shown.map((line) => (
                <div key={line.number} className={lines.line} data-stream={line.stream}>
                  <Time at={line.at} />
                  <span>{line.stream}</span>
                  <span>{visible(line.text)}</span>
                </div>
              ))}
            </div>
          </div>
        );
      }}
    </Loaded>
  );
}

/** The logs of the steps of a run, newest steps first. */
export function RunLogs({ store, live }: { store: RunStore; live: boolean }) {
  const [filter, setFilter] = useState("");
  const version = useVersion(store);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version says that the rows have changed
  const steps = useMemo(
    () => store.all.filter((row) => !row.worker.startsWith("(") && row.state !== "skipped").slice(-STEPS),
    [store, version],
  );
  return (
    <Card title="Logs of the steps">
      <Toolbar>
        <SearchField label="Only lines with this text" value={filter} onChange={setFilter} />
        <span className="muted">What scripts wrote while they worked on a step of this run</span>
      </Toolbar>
      {steps.length === 0 && <Empty title="No step has begun" />}
      {steps.map((row) => (
        <StepLog
          key={row.id}
          task={row.id}
          live={live}
          filter={filter}
          title={`${row.step ?? row.id} (${row.worker})`}
        />
      ))}
    </Card>
  );
}
