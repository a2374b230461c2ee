import { Link, useNavigate } from "@tanstack/react-router";
import { CircleDollarSign } from "lucide-react";
import type { CostRow } from "../../api/paths";
import { useGet } from "../../api/query";
import { useCounts } from "../../app/shell";
import { useChoice } from "../../app/use-choice";
import { CopyAs } from "../../kit/copy";
import { count, percent, visible } from "../../kit/format";
import { Card, Page as Frame, Grow, Stat, Stats, Toolbar } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Tabs } from "../../kit/tabs";
import { Meter } from "../../kit/text";
import { Money } from "../../kit/time";
import { useLiveReads } from "../../live/use-live";
import { Books } from "./books";
import { Budgets } from "./budgets";
import { Chart } from "./chart";
import { BY, type By, deeper } from "./model";
import css from "./money.module.css";
import { METRICS, queryOf, RANGES, type Range } from "./over-time";

const MOST = 1_000;
/** Kinds with too many names, or of time itself: their bars are not divided. */
const UNDIVIDED: ReadonlySet<By> = new Set(["run", "task", "day"]);

function cliOf(by: By, range: Range): string {
  const per = range.per ? ` --per ${range.per}` : "";
  return `cost --by ${by}${per}${range.days ? ` --from ${range.days - 1}d` : ""}`;
}

function columns(by: By, all: number): Column<CostRow>[] {
  return [
    {
      key: "name",
      head: BY.find((one) => one.id === by)?.name ?? "Name",
      width: "minmax(140px, 2fr)",
      phone: "wide",
      cell: (row) => {
        const next = deeper(by, row.name);
        return (
          <span className={css.account}>
            {next ? (
              <Link to={next.to} search={next.search as never}>
                {visible(row.name)}
              </Link>
            ) : (
              (row.name === "-" && `no ${by}`) || visible(row.name)
            )}
            <Meter share={all > 0 ? row.cost_nanousd / all : 0} label={`${percent(row.cost_nanousd / all)} of all`} />
          </span>
        );
      },
    },
    { key: "cost", head: "Cost", width: "100px", right: true, cell: (row) => <Money nano={row.cost_nanousd} /> },
    {
      key: "unknown",
      head: "Of it unknown",
      width: "100px",
      right: true,
      cell: (row) => (
        <span title="Calls whose price stays unknown, charged at the most they can have cost">
          <Money nano={row.unknown_nanousd} />
        </span>
      ),
    },
    { key: "calls", head: "Calls", width: "70px", right: true, cell: (row) => count(row.calls) },
    {
      key: "tokens",
      head: "Tokens sent, got",
      width: "130px",
      right: true,
      cell: (row) => `${count(row.input_tokens)}, ${count(row.output_tokens)}`,
    },
  ];
}

export function Page() {
  const [by, setBy] = useChoice("by", BY);
  const [time, setTime] = useChoice("time", RANGES, "30d");
  const [metric, setMetric] = useChoice("of", METRICS);
  const navigate = useNavigate();
  const counts = useCounts();
  const range = RANGES.find((one) => one.id === time) ?? RANGES[0];
  const query = { by, ...queryOf(range, Date.now()) };
  const report = useGet(
    "/api/v1/cost",
    { params: { query: { ...query, limit: MOST } } },
    { keep: true, refetchInterval: 15_000 },
  );
  useLiveReads("money", ["/api/v1/cost", "/api/v1/budgets"], 3_000);
  const rows = report.data?.rows ?? [];
  const all = report.data?.total.cost_nanousd ?? 0;
  const drawn = report.data?.per === range.per ? report.data : undefined;
  const silent = drawn !== undefined && drawn.total.calls + drawn.total.given_calls === 0;
  const today = counts?.today;
  return (
    <Frame
      title="Spend"
      sub="What models cost: from the tenant down to the single call. Everything else is free."
      actions={
        <CopyAs recipe={{ method: "GET", path: `/api/v1/cost?${new URLSearchParams(query)}`, cli: cliOf(by, range) }} />
      }
    >
      <Stats>
        <Stat name="Today" note="UTC, as the ledger counts days">
          <Money nano={today?.spent_nanousd} />
        </Stat>
        <Stat name="Calls today">{count(today?.calls)}</Stat>
        <Stat name="Tokens today" note="sent and received">
          {count(today?.input_tokens)} / {count(today?.output_tokens)}
        </Stat>
        <Stat name="Parked" note={<Link to="/inbox">tasks that wait for money</Link>}>
          {count(counts?.parked)}
        </Stat>
      </Stats>
      <Toolbar label="Time and division">
        <Tabs small label="Time" value={time} onChange={setTime} tabs={RANGES} />
        <Grow />
        <Tabs small label="Divided by" value={by} onChange={setBy} tabs={BY} />
      </Toolbar>
      {range.per && !silent && (
        <Card
          title="Over time"
          actions={<Tabs small label="Measured in" value={metric} onChange={setMetric} tabs={METRICS} />}
        >
          <Loaded of={report} what="The spending">
            {() =>
              drawn ? (
                <Chart report={drawn} range={range} metric={metric} divided={!UNDIVIDED.has(by)} by={by} />
              ) : (
                <p className="muted">Loading</p>
              )
            }
          </Loaded>
        </Card>
      )}
      <Card flush title={`By ${by}, ${range.words}`}>
        <Loaded of={report} what="The spending">
          {() => (
            <Table
              label={`Spending by ${by}`}
              columns={columns(by, all)}
              rows={rows}
              rowKey={(row) => row.name}
              onOpen={(row) => {
                const next = deeper(by, row.name);
                if (next) void navigate({ to: next.to, search: next.search as never });
              }}
              empty={
                <Empty
                  icon={CircleDollarSign}
                  title={`Nothing was spent in ${range.words}`}
                  command="kapelle cost --by worker"
                >
                  No call of a model was paid. Offline methods, replayed and recorded answers cost $0.
                </Empty>
              }
            />
          )}
        </Loaded>
      </Card>
      <Budgets />
      <Books />
    </Frame>
  );
}
