import { Link } from "@tanstack/react-router";
import { ArrowUp, Ban, Coins } from "lucide-react";
import { api, once, unwrap } from "../../api/client";
import type { Task } from "../../api/paths";
import { useAct } from "../../kit/act";
import { Button, RoleNote } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { count, many, money, visible } from "../../kit/format";
import { shell } from "../../kit/snippets";
import { Meter } from "../../kit/text";
import { Money, Time } from "../../kit/time";
import css from "./inbox.module.css";
import { needs, type Raise } from "./model";

const READ = ["/api/v1/tasks", "/api/v1/budgets", "/api/v1/counts"];
const SHOWN = 5;

function accountWords(account: string): string {
  if (account === "day") return "The budget of the day";
  if (account === "tenant") return "The budget of the tenant";
  return `The budget of ${account.replace(":", " ")}`;
}

function RaiseButton({ raise }: { raise: Raise }) {
  const { busy, act } = useAct(...READ);
  const body = { account: raise.account, limit_nanousd: raise.to };
  return (
    <>
      <Button
        kind="primary"
        may="administer"
        icon={ArrowUp}
        busy={busy !== null}
        onClick={() =>
          void act(
            "raise",
            () => unwrap(api.POST("/api/v1/budgets", { body })),
            `${visible(raise.account)} may spend ${money(raise.to)}`,
          )
        }
      >
        Raise to {money(raise.to)}
      </Button>
      <RoleNote may="administer" to="raise budgets" />
      <CopyAs
        recipe={{
          method: "POST",
          path: "/api/v1/budgets",
          body,
          cli: `budgets set ${shell(raise.account)} ${raise.to / 1e9}`,
        }}
      />
    </>
  );
}

/** Tasks that wait for money, with the budget that stops them. */
export function MoneyGate({ raise, tasks }: { raise: Raise | null; tasks: readonly Task[] }) {
  const { busy, act } = useAct(...READ);
  const first = tasks[0];
  const cancel = (): Promise<unknown> =>
    unwrap(
      api.POST("/api/v1/tasks/bulk", {
        body: { action: "cancel", ids: tasks.map((task) => task.id), dry_run: false, reason: "no money, in the inbox" },
        headers: { "idempotency-key": once() },
      }),
    );
  return (
    <article className={`${css.gate} ${css.money}`} aria-label={`Parked: ${raise?.account ?? first?.id}`}>
      <div className={css.kind}>
        <Coins aria-hidden />
        {many(tasks.length, "task")} parked for want of money
      </div>
      {raise ? (
        <>
          <div className={css.question}>
            {visible(accountWords(raise.account))} {raise.spent >= raise.limit ? "is used up" : "is too small"}
          </div>
          <div>
            <Money nano={raise.spent} /> of <Money nano={raise.limit} /> spent
            {first && needs(first) !== null && (
              <>
                ; the next call may cost <Money nano={needs(first)} />
              </>
            )}
            .
          </div>
          <Meter
            share={raise.limit > 0 ? raise.spent / raise.limit : 1}
            tone="bad"
            label={`${money(raise.spent)} of ${money(raise.limit)} spent`}
          />
        </>
      ) : (
        <div className={css.question}>
          {first && needs(first) !== null ? (
            <>
              The next call needs <Money nano={needs(first)} />, which calls under way hold now
            </>
          ) : (
            visible(first?.reason ?? "It waits for money")
          )}
        </div>
      )}
      <div className={css.meta}>
        {tasks.slice(0, SHOWN).map((task) => (
          <span key={task.id}>
            <Link to="/tasks/$task" params={{ task: task.id }}>
              {visible(task.worker)} {task.id}
            </Link>
            {task.run && (
              <>
                {" "}
                of{" "}
                <Link to="/runs/$run" params={{ run: task.run }}>
                  {task.run}
                </Link>
              </>
            )}
          </span>
        ))}
        {tasks.length > SHOWN && <span>and {count(tasks.length - SHOWN)} more</span>}
        {first && (
          <span>
            since <Time at={first.created_at} age />
          </span>
        )}
      </div>
      <div className={css.acts}>
        {raise && <RaiseButton raise={raise} />}
        <Button
          may="submit"
          kind="danger"
          icon={Ban}
          busy={busy !== null}
          onClick={() => void act("cancel", cancel, `${many(tasks.length, "task")} cancelled`)}
        >
          Cancel {tasks.length === 1 ? "it" : "them"}
        </Button>
      </div>
    </article>
  );
}
