import { Link } from "@tanstack/react-router";
import { Inbox, Skull } from "lucide-react";
import { useMemo } from "react";
import { useGet } from "../../api/query";
import { useCounts } from "../../app/shell";
import { useSession } from "../../app/use-session";
import { many } from "../../kit/format";
import { Page as Frame } from "../../kit/page";
import { Empty, ErrorBox, Loading, Notice } from "../../kit/said";
import { useLiveReads } from "../../live/use-live";
import { ApprovalGate } from "./approval";
import css from "./inbox.module.css";
import { byBudget } from "./model";
import { MoneyGate } from "./parked";

const READ = ["/api/v1/approvals", "/api/v1/tasks", "/api/v1/budgets"];

export function Page() {
  const approvals = useGet("/api/v1/approvals", undefined, { keep: true, refetchInterval: 10_000 });
  const parked = useGet(
    "/api/v1/tasks",
    { params: { query: { state: "parked", steps: "true", limit: 500 } } },
    { keep: true, refetchInterval: 10_000 },
  );
  const budgets = useGet("/api/v1/budgets", undefined, { keep: true });
  useLiveReads("approvals", READ);
  useLiveReads("money", READ);
  const counts = useCounts();
  const { me } = useSession();
  const money = useMemo(() => {
    const own = budgets.data?.budgets.filter((one) => me === null || one.tenant === me.tenant);
    return byBudget(parked.data?.tasks ?? [], own ?? []);
  }, [parked.data, budgets.data, me]);
  const people = approvals.data?.approvals ?? [];
  const known = approvals.data !== undefined && parked.data !== undefined;
  const all = people.length + (parked.data?.tasks.length ?? 0);
  return (
    <Frame
      title="Inbox"
      sub={
        known && all > 0
          ? `${many(all, "thing")} ${all === 1 ? "waits" : "wait"} for a person.`
          : "What waits for a person: a question to answer, or money to allow."
      }
    >
      {approvals.error && (
        <ErrorBox error={approvals.error} what="The approvals" retry={() => void approvals.refetch()} />
      )}
      {parked.error && <ErrorBox error={parked.error} what="The parked tasks" retry={() => void parked.refetch()} />}
      {!known && !approvals.error && !parked.error && <Loading what="the inbox" />}
      <div className={css.list}>
        {people.map((one) => (
          <ApprovalGate key={one.id} of={one} />
        ))}
        {money.map((one) => (
          <MoneyGate key={one.account ?? one.tasks[0]?.id} raise={one.raise} tasks={one.tasks} />
        ))}
        {known && all === 0 && (
          <Empty icon={Inbox} title="Nothing waits for you" command="kapelle approvals list">
            A step with <code>approval:</code> asks here and goes on with the answer. A task whose budget is used up is
            parked here until it is raised.
          </Empty>
        )}
        {!!counts?.dead && (
          <Notice tone="calm" icon={Skull} action={<Link to="/dead">See them</Link>}>
            {many(counts.dead, "task")} failed for good and can be retried.
          </Notice>
        )}
      </div>
    </Frame>
  );
}
