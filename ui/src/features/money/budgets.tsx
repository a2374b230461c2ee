import { Coins, Plus } from "lucide-react";
import { useState } from "react";
import { api, unwrap } from "../../api/client";
import { reread, useGet } from "../../api/query";
import { useCounts } from "../../app/shell";
import { useSession } from "../../app/use-session";
import { Mark } from "../../kit/badge";
import { Button, RoleNote } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Confirm } from "../../kit/dialog";
import { TextField } from "../../kit/fields";
import { many, money, percent, visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { shell } from "../../kit/snippets";
import { type Column, Table } from "../../kit/table";
import { Meter } from "../../kit/text";
import { Money, Time } from "../../kit/time";
import { say } from "../../kit/toast";
import { byBudget } from "../approvals/model";
import { type Tight, tightest, typed } from "./model";
import css from "./money.module.css";

const ACCOUNT = /^(day|tenant|task_\d+|run_\d+|(worker|queue|key):.+)$/;

function SetBudget({ of, onClose }: { of: Tight | null; onClose: () => void }) {
  const [account, setAccount] = useState(of?.account ?? "");
  const [text, setText] = useState(of ? String(of.limit_nanousd / 1e9) : "");
  const limit = typed(text);
  const valid = limit !== null && ACCOUNT.test(account.trim());
  return (
    <Confirm
      title={of ? `Limit of ${visible(of.account)}` : "Set a budget"}
      yes={limit === null ? "Set" : `Set to ${money(limit)}`}
      disabled={!valid}
      run={async () => {
        await unwrap(
          api.POST("/api/v1/budgets", {
            body: {
              account: account.trim(),
              limit_nanousd: limit ?? 0,
              ...(of?.tenant === undefined ? {} : { tenant: of.tenant }),
            },
          }),
        );
        say(`${account.trim()} may spend ${money(limit)}`);
        reread("/api/v1/budgets", "/api/v1/tasks", "/api/v1/counts");
      }}
      onClose={onClose}
    >
      <div className={css.set}>
        {!of && (
          <TextField
            label="Account"
            help="day, tenant, task_7, run_3, worker:NAME, queue:NAME or key:NAME"
            value={account}
            onChange={setAccount}
            fault={account && !ACCOUNT.test(account.trim()) ? "This is no account." : null}
          />
        )}
        <TextField
          label="May spend in all, dollars"
          help={
            of
              ? `Spent so far: ${money(of.spent_nanousd)}. Tasks that it parks go on when it fits.`
              : "What is spent already counts."
          }
          type="number"
          value={text}
          onChange={setText}
          fault={text && limit === null ? "Expected dollars, such as 2.50." : null}
        />
      </div>
    </Confirm>
  );
}

function columns(
  onSet: (budget: Tight) => void,
  parksOf: (one: Tight) => number,
  manyTenants: boolean,
): Column<Tight>[] {
  return [
    {
      key: "account",
      head: "Account",
      width: "minmax(130px, 1.4fr)",
      phone: "wide",
      cell: (one) => (
        <span className={css.account}>
          <strong>
            {visible(one.account)} {parksOf(one) > 0 && <Mark tone="park">parks {many(parksOf(one), "task")}</Mark>}
          </strong>
          <Meter
            share={one.share}
            tone={one.share >= 1 ? "bad" : one.share >= 0.8 ? "warn" : "good"}
            label={`${percent(one.share)} of the limit spent`}
          />
        </span>
      ),
    },
    ...(manyTenants
      ? [{ key: "tenant", head: "Tenant", width: "60px", cell: (one: Tight) => one.tenant ?? "–" } as Column<Tight>]
      : []),
    { key: "spent", head: "Spent", width: "90px", right: true, cell: (one) => <Money nano={one.spent_nanousd} /> },
    { key: "limit", head: "Limit", width: "90px", right: true, cell: (one) => <Money nano={one.limit_nanousd} /> },
    { key: "left", head: "Left", width: "90px", right: true, cell: (one) => <Money nano={Math.max(0, one.left)} /> },
    { key: "set", head: "Set", width: "90px", phone: "hide", cell: (one) => <Time at={one.set_at} age /> },
    {
      key: "acts",
      head: "",
      width: "80px",
      phone: "plain",
      cell: (one) => (
        <Button small may="administer" onClick={() => onSet(one)}>
          Change
        </Button>
      ),
    },
  ];
}

/** Budgets, the tightest first: the one that parks tasks next. */
export function Budgets() {
  const { me } = useSession();
  const counts = useCounts();
  const parked = useGet(
    "/api/v1/tasks",
    { params: { query: { state: "parked", steps: "true", limit: 500 } } },
    { keep: true, refetchInterval: 10_000, enabled: Boolean(counts?.parked) },
  );
  const budgets = useGet("/api/v1/budgets", undefined, { keep: true, refetchInterval: 10_000 });
  const [setting, setSetting] = useState<Tight | "new" | null>(null);
  const own = budgets.data?.budgets.filter((one) => me === null || one.tenant === me.tenant) ?? [];
  const parks = new Map<string, number>();
  for (const { account, tasks } of byBudget(parked.data?.tasks ?? [], own)) {
    if (account) parks.set(account, tasks.length);
  }
  const isOwn = (one: Tight): boolean => me === null || one.tenant === me.tenant;
  const parksOf = (one: Tight): number => (isOwn(one) ? (parks.get(one.account) ?? 0) : 0);
  const rows = tightest(budgets.data?.budgets ?? [], parksOf);
  const first = rows[0];
  const tenants = new Set(rows.map((one) => one.tenant));
  return (
    <Card
      title="Budgets, the tightest first"
      flush
      actions={
        <>
          <RoleNote may="administer" to="set budgets" />
          <CopyAs
            recipe={
              first
                ? {
                    method: "POST",
                    path: "/api/v1/budgets",
                    body: { account: first.account, limit_nanousd: first.limit_nanousd },
                    cli: `budgets set ${shell(first.account)} ${first.limit_nanousd / 1e9}`,
                  }
                : { method: "GET", path: "/api/v1/budgets", cli: "budgets list" }
            }
          />
          <Button may="administer" icon={Plus} onClick={() => setSetting("new")}>
            Set a budget
          </Button>
        </>
      }
    >
      <Loaded of={budgets} what="The budgets">
        {() => (
          <Table
            label="Budgets"
            columns={columns(
              setSetting,
              parksOf,
              tenants.size > 1 || (me?.tenant !== undefined && !tenants.has(me.tenant)),
            )}
            rows={rows}
            rowKey={(one) => `${one.tenant} ${one.account}`}
            empty={
              <Empty icon={Coins} title="Nothing limits spending" command="kapelle budgets set day 5.00">
                A budget stops spending before it happens: a call that would not fit parks its task until the budget is
                raised.
              </Empty>
            }
          />
        )}
      </Loaded>
      {setting && <SetBudget of={setting === "new" ? null : setting} onClose={() => setSetting(null)} />}
    </Card>
  );
}
