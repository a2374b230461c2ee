import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { read } from "../../api/query";
import { Button } from "../../kit/button";
import { SearchField } from "../../kit/fields";
import { count, visible } from "../../kit/format";
import { Card, Grow, Toolbar } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { type Entry, tell } from "./model/journal";
import css from "./run.module.css";

const PAGE = 1_000;
/** Entries that are read for the scrubber without being asked for. */
const MOST = 20_000;

/** The journal, read page by page; while the run goes on, what is new is read with it. */
export function useJournal(id: string, seq: number, on: boolean) {
  const asked = useInfiniteQuery({
    queryKey: ["/api/v1/runs/{id}/journal", id],
    enabled: on,
    initialPageParam: 0,
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: ({ pageParam, signal }) =>
      read(
        "/api/v1/runs/{id}/journal",
        { params: { path: { id }, query: { from: String(pageParam), limit: PAGE } } },
        signal,
      ),
    getNextPageParam: (page) => page.next,
  });
  const entries = useMemo(() => asked.data?.pages.flatMap((page) => page.entries as Entry[]) ?? [], [asked.data]);
  const { fetchNextPage, isFetching, hasNextPage } = asked;
  const behind = asked.data !== undefined && entries.length < Math.min(seq, MOST);
  useEffect(() => {
    if (on && behind && !isFetching && hasNextPage) void fetchNextPage();
  }, [on, behind, isFetching, hasNextPage, fetchNextPage]);
  return { entries, asked };
}

const COLUMNS: Column<Entry>[] = [
  {
    key: "seq",
    head: "No.",
    width: "60px",
    right: true,
    phone: "plain",
    cell: (entry) => <span className="muted">{entry.seq}</span>,
  },
  { key: "at", head: "Time", width: "150px", phone: "plain", cell: (entry) => <Time at={entry.at} exact /> },
  {
    key: "step",
    head: "Step",
    width: "minmax(100px, 1fr)",
    cell: (entry) => (entry.step ? <code>{visible(entry.step)}</code> : <span className="muted">the run</span>),
  },
  {
    key: "event",
    head: "What happened",
    width: "minmax(160px, 2fr)",
    phone: "wide",
    cell: (entry) => visible(tell(entry)),
  },
  {
    key: "task",
    head: "Task",
    width: "90px",
    cell: (entry) =>
      entry.task ? <span className="mono">{String(entry.task)}</span> : <span className="muted">–</span>,
  },
];

export function Journal({ id, seq, onMoment }: { id: string; seq: number; onMoment: (seq: number) => void }) {
  const { entries, asked } = useJournal(id, seq, true);
  const [filter, setFilter] = useState("");
  const wanted = filter.toLowerCase();
  const shown = useMemo(
    () =>
      wanted
        ? entries.filter((entry) =>
            `${entry.step ?? ""} ${tell(entry)} ${entry.task ?? ""}`.toLowerCase().includes(wanted),
          )
        : entries,
    [entries, wanted],
  );
  return (
    <Card flush>
      <div className={css.pad}>
        <Toolbar>
          <SearchField label="Step, event or task" value={filter} onChange={setFilter} />
          <Grow />
          <span className="muted">
            {count(shown.length)} of {count(seq)} entries
          </span>
          {entries.length >= MOST && asked.hasNextPage && (
            <Button small busy={asked.isFetching} onClick={() => void asked.fetchNextPage()}>
              Load more
            </Button>
          )}
        </Toolbar>
      </div>
      <Loaded of={asked} what="The journal">
        {() => (
          <Table
            label="Journal"
            columns={COLUMNS}
            rows={shown}
            rowKey={(entry) => String(entry.seq)}
            onOpen={(entry) => onMoment(entry.seq)}
            empty={<Empty title="No entry matches" />}
          />
        )}
      </Loaded>
    </Card>
  );
}
