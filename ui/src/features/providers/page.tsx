import { Link } from "@tanstack/react-router";
import { PlugZap } from "lucide-react";
import { useGet } from "../../api/query";
import { Mark, StateBadge } from "../../kit/badge";
import { CopyAs } from "../../kit/copy";
import { count, many, percent, visible } from "../../kit/format";
import { Card, Page as Frame } from "../../kit/page";
import { Empty, Loaded, Notice } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Meter } from "../../kit/text";
import { Time } from "../../kit/time";
import { asked, badShare, leftWords, type Row, rowsOf, standing } from "./model";
import { Models } from "./models";
import css from "./providers.module.css";

function Rate({ left, limit, what }: { left?: number | null; limit?: number | null; what: string }) {
  const words = leftWords(left, limit);
  if (words === null) return null;
  return (
    <span className={css.rate}>
      {words} {what}
      {left != null && !!limit && <Meter share={left / limit} label={`${words} ${what} left`} />}
    </span>
  );
}

const COLUMNS = (minutes: number): Column<Row>[] => [
  {
    key: "model",
    head: "Model",
    width: "minmax(150px, 1.2fr)",
    phone: "wide",
    cell: (row) => (
      <span className={css.stack}>
        <strong>
          <Link to="/calls" search={{ provider: row.provider.name, model: row.model } as never}>
            {visible(`${row.provider.name}/${row.model}`)}
          </Link>
        </strong>
        {!row.price_known && (
          <Mark tone="warn" title="The high default price is charged">
            price unknown
          </Mark>
        )}
      </span>
    ),
  },
  {
    key: "state",
    head: "State",
    width: "minmax(140px, 1fr)",
    phone: "wide",
    cell: (row) => {
      const { state, word, hint } = standing(row);
      return (
        <span className={css.stack}>
          <StateBadge state={state} word={word} />
          {hint && <span className="muted">{visible(hint)}</span>}
        </span>
      );
    },
  },
  {
    key: "recent",
    head: `Last ${minutes} min`,
    width: "minmax(120px, 1fr)",
    cell: (row) => {
      const bad = badShare(row);
      return (
        <span className={css.stack}>
          {many(asked(row), "call")}
          {!!bad && (
            <span className={css.bad}>
              {count(row.recent_failed)} failed, {count(row.recent_refused)} refused ({percent(bad)})
            </span>
          )}
        </span>
      );
    },
  },
  {
    key: "rate",
    head: "Left this minute",
    width: "minmax(140px, 1fr)",
    cell: (row) => (
      <span className={css.stack}>
        <Rate left={row.requests_left} limit={row.provider.requests_per_minute} what="requests" />
        <Rate left={row.tokens_left} limit={row.provider.tokens_per_minute} what="tokens" />
        {row.requests_left == null && row.tokens_left == null && <span className="muted">no limit known</span>}
      </span>
    ),
  },
  {
    key: "error",
    head: "Last error",
    width: "minmax(180px, 2fr)",
    phone: "wide",
    cell: (row) =>
      row.last_error ? (
        <span className={css.stack}>
          <span>
            {visible(row.last_error.category.replaceAll("_", " "))} <Time at={row.last_error.at} age /> ago
          </span>
          <span className={css.message}>{visible(row.last_error.message ?? "The call was another tenant's.")}</span>
        </span>
      ) : (
        <span className="muted">no error since the start</span>
      ),
  },
];

export function Page() {
  const report = useGet("/api/v1/providers", undefined, { refetchInterval: 5_000 });
  const rows = rowsOf(report.data?.providers ?? []);
  const down = rows.filter((row) => standing(row).state === "critical");
  return (
    <Frame
      title="Providers"
      sub="How the providers of models fare: keys, circuits, rates left, and what went wrong last."
      actions={<CopyAs recipe={{ method: "GET", path: "/api/v1/providers", cli: "providers" }} />}
    >
      {down.length > 0 && (
        <Notice tone="bad">
          {many(down.length, "model")} failed too often and {down.length === 1 ? "is" : "are"} not called for now; other
          models of the chain answer.
        </Notice>
      )}
      <Card title="Models of providers" flush>
        <Loaded of={report} what="The providers">
          {(data) => (
            <Table
              label="Models of providers"
              columns={COLUMNS(data.recent_minutes)}
              rows={rows}
              rowKey={(row) => `${row.provider.name}/${row.model}`}
              empty={
                <Empty icon={PlugZap} title="No provider is configured" command="kapelle config reference">
                  The section <code>providers</code> of <code>kapelle.yaml</code> names servers of models and their
                  keys.
                </Empty>
              }
            />
          )}
        </Loaded>
      </Card>
      <Models report={report} />
    </Frame>
  );
}
