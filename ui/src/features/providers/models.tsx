import type { UseQueryResult } from "@tanstack/react-query";
import type { Alias } from "../../api/paths";
import type { Data } from "../../api/query";
import { Mark, StateBadge } from "../../kit/badge";
import { visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Duration } from "../../kit/time";
import { answers, LINKS } from "./model";
import css from "./providers.module.css";

const COLUMNS: Column<Alias>[] = [
  {
    key: "alias",
    head: "Name",
    width: "minmax(90px, 140px)",
    phone: "wide",
    cell: (alias) => <strong>{visible(alias.name)}</strong>,
  },
  {
    key: "live",
    head: "State",
    width: "110px",
    phone: "plain",
    cell: (alias) => {
      const { state, word, hint } = answers(alias);
      return (
        <span title={hint}>
          <StateBadge state={state} word={word} />
        </span>
      );
    },
  },
  {
    key: "links",
    head: "Leads to, in order",
    width: "minmax(180px, 3fr)",
    phone: "wide",
    cell: (alias) => (
      <span className={css.links}>
        {alias.links.map((link) => {
          const look = LINKS[link.state];
          return (
            <span key={link.link} title={look?.hint}>
              {visible(link.link)} <StateBadge state={look?.state} word={look?.word ?? link.state} plain />
              {!link.price_known && link.link !== "offline" && (
                <Mark tone="warn" title="The high default price is charged">
                  price unknown
                </Mark>
              )}
            </span>
          );
        })}
      </span>
    ),
  },
  {
    key: "rate",
    head: "Rate limit",
    width: "minmax(110px, 1fr)",
    cell: (alias) =>
      alias.limited_by ? (
        <span>
          {visible(alias.limited_by)}, next in <Duration ms={alias.rate_wait_ms} />
        </span>
      ) : (
        <span className="muted">not used up</span>
      ),
  },
];

/** Names of models that workers use: what they lead to, and what holds them up. */
export function Models({ report }: { report: UseQueryResult<Data<"/api/v1/providers">, unknown> }) {
  return (
    <Card title="Names that workers use" flush>
      <Loaded of={report} what="The models">
        {(data) => (
          <Table
            label="Names that workers use"
            columns={COLUMNS}
            rows={data.aliases}
            rowKey={(alias) => alias.name}
            empty={
              <Empty title="No name of a model is configured" command="kapelle config show">
                Workers ask for a name such as <code>fast</code>; the configuration says which models it leads to.
              </Empty>
            }
          />
        )}
      </Loaded>
    </Card>
  );
}
