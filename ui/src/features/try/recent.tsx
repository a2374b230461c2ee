import { Link } from "@tanstack/react-router";
import { useGet } from "../../api/query";
import { StateBadge } from "../../kit/badge";
import { visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { Money, Time } from "../../kit/time";
import { useLiveReads } from "../../live/use-live";
import { paid } from "../tasks/paid";
import css from "./try.module.css";

/** The last single tasks, of anybody. */
export function Recent() {
  const tasks = useGet("/api/v1/tasks", { params: { query: { limit: 5 } } });
  useLiveReads("tasks", ["/api/v1/tasks"], 2_000);
  if (!tasks.data?.tasks.length) return null;
  return (
    <Card title="Tasks before">
      <div className={css.before}>
        {tasks.data.tasks.map((task) => (
          <Link key={task.id} to="/tasks/$task" params={{ task: task.id }}>
            <StateBadge state={task.state} plain />
            <span>{visible(task.worker)}</span>
            <span className="muted">
              <Time at={task.created_at} age />
              {paid(task) !== null && (
                <>
                  {" "}
                  · <Money nano={paid(task)} />
                </>
              )}
            </span>
          </Link>
        ))}
      </div>
    </Card>
  );
}
