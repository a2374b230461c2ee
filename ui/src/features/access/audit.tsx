import { ScrollText, ShieldCheck } from "lucide-react";
import { useState } from "react";
import type { Schema } from "../../api/paths";
import { useGet, useRows } from "../../api/query";
import { Button } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { count, visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { Command, Empty, ErrorBox, Loaded, Notice } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import css from "./access.module.css";

type Entry = Schema<"AuditEntry">;

const COLUMNS: Column<Entry>[] = [
  { key: "seq", head: "Number", width: "70px", right: true, cell: (entry) => count(entry.seq) },
  { key: "at", head: "Time", width: "minmax(120px, 170px)", cell: (entry) => <Time at={entry.at} /> },
  { key: "actor", head: "Who", width: "minmax(100px, 1fr)", cell: (entry) => visible(entry.actor) },
  { key: "action", head: "Did", width: "minmax(90px, 1fr)", cell: (entry) => <code>{visible(entry.action)}</code> },
  {
    key: "resource",
    head: "To",
    width: "minmax(120px, 2fr)",
    phone: "wide",
    cell: (entry) => visible(entry.resource),
  },
  {
    key: "hash",
    head: "Hash",
    width: "100px",
    phone: "hide",
    cell: (entry) => (
      <span className={css.hash} title={entry.hash}>
        {entry.hash.slice(0, 10)}
      </span>
    ),
  },
];

const pick = (page: { entries: Entry[] }): readonly Entry[] => page.entries;

function Verdict() {
  const verdict = useGet("/api/v1/audit/verify");
  if (verdict.error?.isMissing) {
    return (
      <Notice tone="calm">
        This server checks its trail on the command line: <Command>kapelle audit verify</Command>
      </Notice>
    );
  }
  if (verdict.error) return <ErrorBox error={verdict.error} what="The check" retry={() => void verdict.refetch()} />;
  if (!verdict.data) return <Notice tone="calm">The chain of hashes is being checked.</Notice>;
  const { ok, entries, heads, known, head, faults } = verdict.data;
  return (
    <Notice tone={ok ? "good" : "bad"} icon={ShieldCheck}>
      {ok
        ? `The trail is whole: ${count(entries)} acts, each sealed by the one after it; ${count(known)} of ${count(heads)} heads in logs confirm it.`
        : "The trail is not whole: somebody changed it, or a part of it is missing."}
      {head && (
        <span className={css.about}>
          Head <span className={css.hash}>{visible(head)}</span>
        </span>
      )}
      {faults.length > 0 && (
        <ul className={css.faults}>
          {faults.map((fault) => (
            <li key={fault}>{visible(fault)}</li>
          ))}
        </ul>
      )}
    </Notice>
  );
}

/** Administrative acts, and whether their record is whole. */
export function Audit() {
  const entries = useRows("/api/v1/audit", { params: {} }, pick, { refetchInterval: 15_000 });
  const [checking, setChecking] = useState(false);
  return (
    <Card
      title="Audit trail"
      flush
      actions={
        <>
          <CopyAs recipe={{ method: "GET", path: "/api/v1/audit", cli: "audit list" }} />
          <Button icon={ShieldCheck} onClick={() => setChecking(true)}>
            Verify
          </Button>
        </>
      }
    >
      {checking && <Verdict />}
      <Loaded of={entries} what="The audit trail">
        {(rows) => (
          <Table
            label="Audit trail"
            columns={COLUMNS}
            rows={rows}
            rowKey={(entry) => String(entry.seq)}
            more={entries.more}
            empty={
              <Empty icon={ScrollText} title="No administrative act yet" command="kapelle audit list">
                Keys, budgets, pauses, approvals and restarts are recorded here with the key that did them.
              </Empty>
            }
          />
        )}
      </Loaded>
    </Card>
  );
}
