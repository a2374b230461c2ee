import { useState } from "react";
import { api, unwrap } from "../../api/client";
import type { Uses } from "../../api/paths";
import { useGet } from "../../api/query";
import { useAct } from "../../kit/act";
import { StateBadge } from "../../kit/badge";
import { Button } from "../../kit/button";
import { TextField } from "../../kit/fields";
import { bytes, visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { type Column, Table } from "../../kit/table";
import { Duration, Time } from "../../kit/time";
import type { Script } from "./model";
import { READ, Restart } from "./restart";
import css from "./workers.module.css";

type Process = Script["processes"][number] & Uses;

const COLUMNS: Column<Process>[] = [
  { key: "id", head: "Process", width: "minmax(110px, 1fr)", phone: "wide", cell: (one) => <code>{one.id}</code> },
  { key: "state", head: "State", width: "116px", phone: "plain", cell: (one) => <StateBadge state={one.state} /> },
  { key: "pid", head: "Process id", width: "84px", right: true, cell: (one) => one.pid ?? "–" },
  { key: "up", head: "Up for", width: "90px", right: true, cell: (one) => <Duration ms={one.uptime_ms} /> },
  { key: "cpu", head: "Cores", width: "60px", right: true, cell: (one) => one.cpu?.toFixed(2) ?? "–" },
  { key: "memory", head: "Memory", width: "84px", right: true, cell: (one) => bytes(one.memory_bytes) },
  { key: "restarts", head: "Restarts", width: "70px", right: true, cell: (one) => one.restarts },
  {
    key: "exit",
    head: "Last end",
    width: "minmax(150px, 2fr)",
    phone: "wide",
    cell: (one) => (
      <span className={css.why}>
        {one.last_exit ? (
          <span>
            {visible(one.last_exit.reason)}
            {one.last_exit.at && (
              <>
                , <Time at={one.last_exit.at} age />
              </>
            )}
          </span>
        ) : (
          <span className="muted">none</span>
        )}
        {one.next_start && (
          <span className={css.sub}>
            next start <Time at={one.next_start} />
          </span>
        )}
      </span>
    ),
  },
];

function Scale({ script }: { script: Script }) {
  const [text, setText] = useState(String(Math.max(1, script.processes.length)));
  const { busy, act } = useAct(...READ);
  const instances = Number(text);
  const valid = Number.isInteger(instances) && instances >= 1 && instances <= 64;
  return (
    <div className={css.scale}>
      <TextField label="Processes" type="number" value={text} onChange={setText} fault={valid ? null : "1 to 64"} />
      <Button
        may="operate"
        disabled={!valid || instances === script.processes.length}
        busy={busy !== null}
        onClick={() =>
          void act(
            "scale",
            () =>
              unwrap(
                api.POST("/api/v1/scripts/{id}/scale", { params: { path: { id: script.id } }, body: { instances } }),
              ),
            `${visible(script.name)} has ${instances} processes`,
          )
        }
      >
        Scale
      </Button>
    </div>
  );
}

/** The processes of a script, with what they use of the machine. */
export function Processes({ script }: { script: Script }) {
  const system = useGet("/api/v1/system", undefined, { refetchInterval: 5_000 });
  const rows = script.processes.map((process): Process => {
    const uses = system.data?.scripts.find((one) => one.id === process.id || one.pid === process.pid);
    return { ...process, cpu: uses?.cpu, memory_bytes: uses?.memory_bytes };
  });
  return (
    <Card
      title="Processes"
      flush
      actions={
        script.standing === "started" && (
          <>
            <Scale key={script.processes.length} script={script} />
            <Restart script={script} />
          </>
        )
      }
    >
      <Table
        label="Processes"
        columns={COLUMNS}
        rows={rows}
        rowKey={(one) => one.id}
        empty={<p className={css.sub}>It has no process now.</p>}
      />
    </Card>
  );
}
