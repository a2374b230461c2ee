import { Link } from "@tanstack/react-router";
import { Coins } from "lucide-react";
import type { ModelCall } from "../../api/paths";
import { useRows } from "../../api/query";
import { useFilters } from "../../app/use-filters";
import { Mark, StateBadge } from "../../kit/badge";
import { Button } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Pick } from "../../kit/fields";
import { count, visible } from "../../kit/format";
import { Card, Page as Frame, Toolbar } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { SINCE, sinceTime } from "../../kit/since";
import { type Column, Table } from "../../kit/table";
import { Money, Span, Time } from "../../kit/time";
import { useLiveReads } from "../../live/use-live";
import { dayRange } from "../money/model";
import css from "./calls.module.css";
import { CallDialog } from "./detail";

const STATES = ["", "open", "charged", "free", "unknown", "given"].map((value) => ({
  value,
  label: value || "any state",
}));
const NONE = { run: "", task: "", provider: "", model: "", state: "", since: "", day: "" };

const COLUMNS: Column<ModelCall>[] = [
  {
    key: "call",
    head: "Call",
    width: "minmax(150px, 1.6fr)",
    phone: "wide",
    cell: (call) => (
      <span className={css.name}>
        <strong>{visible(call.model)}</strong>
        <small>
          {visible(call.provider)}, {call.id}
        </small>
      </span>
    ),
  },
  { key: "state", head: "State", width: "104px", phone: "plain", cell: (call) => <StateBadge state={call.state} /> },
  {
    key: "for",
    head: "For",
    width: "minmax(110px, 1fr)",
    phone: "wide",
    cell: (call) => (
      <span className={css.links}>
        {call.run && (
          <Link to="/runs/$run" params={{ run: call.run }}>
            {call.run}
          </Link>
        )}
        {call.task && (
          <Link to="/tasks/$task" params={{ task: call.task }}>
            {call.task}
          </Link>
        )}
        {!call.run && !call.task && <span className="muted">a key</span>}
      </span>
    ),
  },
  { key: "at", head: "Began", width: "minmax(84px, 100px)", cell: (call) => <Time at={call.at} age /> },
  { key: "took", head: "Took", width: "76px", right: true, cell: (call) => <Span from={call.at} to={call.ended_at} /> },
  {
    key: "tokens",
    head: "Tokens sent, got",
    width: "120px",
    right: true,
    cell: (call) => `${count(call.input_tokens)}, ${count(call.output_tokens)}`,
  },
  {
    key: "reserved",
    head: "Reserved",
    width: "90px",
    right: true,
    phone: "hide",
    cell: (call) => <Money nano={call.reserved_nanousd} />,
  },
  { key: "paid", head: "Paid", width: "90px", right: true, cell: (call) => <Money nano={call.cost_nanousd} /> },
  {
    key: "marks",
    head: "",
    width: "76px",
    phone: "plain",
    cell: (call) =>
      call.recorded && (
        <Mark title="Its answer is recorded: a later attempt gets it again and pays nothing">recorded</Mark>
      ),
  },
];

const pick = (page: { calls: ModelCall[] }): readonly ModelCall[] => page.calls;

function Chosen({ name, value, onClear }: { name: string; value: string | undefined; onClear: () => void }) {
  if (!value) return null;
  return (
    <Button small onClick={onClear} hint={`Show calls of any ${name}`}>
      {name} {visible(value)} ×
    </Button>
  );
}

export function Page() {
  const [search, set] = useFilters();
  const { run, task, provider, model, state, day } = search;
  const bounds = day ? dayRange(day) : { since: sinceTime(search.since) };
  const query = { run, task, provider, model, state, ...bounds };
  const calls = useRows("/api/v1/calls", { params: { query } }, pick);
  useLiveReads("money", ["/api/v1/calls"], 2_000);
  const filtered = Object.values(query).some(Boolean);
  return (
    <Frame
      title="Calls"
      sub="Every call of a model: what was reserved for it, what it cost, and what it answered."
      actions={
        <CopyAs
          recipe={{
            method: "GET",
            path: `/api/v1/calls${run ? `?run=${run}` : task ? `?task=${task}` : ""}`,
            cli: run ? `cost --export --run ${run}` : "cost --export",
          }}
        />
      }
    >
      <Toolbar label="Filters">
        <Pick label="State" value={state ?? ""} choices={STATES} onChange={(next) => set({ state: next })} />
        <Pick
          label="Began in"
          value={search.since ?? ""}
          choices={SINCE}
          onChange={(since) => set({ since, day: "" })}
        />
        <Chosen name="run" value={run} onClear={() => set({ run: "" })} />
        <Chosen name="task" value={task} onClear={() => set({ task: "" })} />
        <Chosen name="provider" value={provider} onClear={() => set({ provider: "" })} />
        <Chosen name="model" value={model} onClear={() => set({ model: "" })} />
        <Chosen name="day" value={day} onClear={() => set({ day: "" })} />
      </Toolbar>
      <Card flush>
        <Loaded of={calls} what="The calls">
          {(rows) => (
            <Table
              label="Calls of models"
              columns={COLUMNS}
              rows={rows}
              rowKey={(call) => call.id}
              onOpen={(call) => set({ call: call.id })}
              more={calls.more}
              empty={
                filtered ? (
                  <Empty
                    title="No call matches these filters"
                    action={<Button onClick={() => set(NONE)}>Show all calls</Button>}
                  />
                ) : (
                  <Empty icon={Coins} title="No model was called yet" command="kapelle config prices">
                    Workers that ask a model do so through the gateway, which reserves the price first and settles it
                    after. The models with their prices:
                  </Empty>
                )
              }
            />
          )}
        </Loaded>
      </Card>
      {search.call && <CallDialog id={search.call} onClose={() => set({ call: "" })} />}
    </Frame>
  );
}
