import { Server } from "lucide-react";
import { Mark, StateBadge } from "../../kit/badge";
import { count, visible } from "../../kit/format";
import { Empty } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Duration } from "../../kit/time";
import type { Host } from "./model";
import css from "./workers.module.css";

const COLUMNS: Column<Host>[] = [
  {
    key: "host",
    head: "Host",
    width: "minmax(130px, 1.2fr)",
    phone: "wide",
    cell: (host) => (
      <span className={css.name}>
        <strong>{visible(host.name)}</strong>
        <span className={css.sub}>{host.id}</span>
      </span>
    ),
  },
  {
    key: "state",
    head: "State",
    width: "104px",
    phone: "plain",
    cell: (host) => <StateBadge state={host.alive ? "running" : "absent"} word={host.alive ? "alive" : "lost"} />,
  },
  { key: "silent", head: "Last sign", width: "90px", right: true, cell: (host) => <Duration ms={host.silent_ms} /> },
  { key: "slots", head: "Slots", width: "60px", right: true, cell: (host) => count(host.slots) },
  {
    key: "workers",
    head: "Serves",
    width: "minmax(130px, 1.6fr)",
    phone: "wide",
    cell: (host) => visible(host.workers.join(", ")) || <span className="muted">nothing</span>,
  },
  {
    key: "labels",
    head: "Labels",
    width: "minmax(100px, 1fr)",
    phone: "wide",
    cell: (host) => (
      <span className={css.tags}>
        {Object.entries(host.labels).map(([name, value]) => (
          <Mark key={name}>{visible(value ? `${name}=${value}` : name)}</Mark>
        ))}
        {Object.keys(host.labels).length === 0 && <span className="muted">none</span>}
      </span>
    ),
  },
  {
    key: "done",
    head: "Took, done, failed",
    width: "130px",
    right: true,
    cell: (host) => `${count(host.claimed)}, ${count(host.succeeded)}, ${count(host.failed)}`,
  },
];

/** Worker hosts on this machine or on others. */
export function Hosts({ hosts }: { hosts: readonly Host[] }) {
  return (
    <Table
      label="Hosts"
      columns={COLUMNS}
      rows={hosts}
      rowKey={(host) => host.id}
      empty={
        <Empty icon={Server} title="No host has joined" command={`kapelle host --server ${location.origin}`}>
          A host takes tasks of this server on another machine, with a key of the role worker. On that machine:
        </Empty>
      }
    />
  );
}
