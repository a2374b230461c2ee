import { Link } from "@tanstack/react-router";
import { FileCode, TriangleAlert } from "lucide-react";
import { useGet } from "../../api/query";
import { StateBadge } from "../../kit/badge";
import { bytes, visible } from "../../kit/format";
import { Command, Empty } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { inCare, mends, reasonOf, type Script } from "./model";
import { Restart } from "./restart";
import css from "./workers.module.css";

/** Why a script does not run or needs a look, and the command that mends it. */
export function ScriptCare({ script }: { script: Script }) {
  const unwell = script.standing === "cannot_start" || script.standing === "not_started";
  return (
    <span className={css.why}>
      {script.standing !== "started" && (
        <span className={unwell ? css.bad : css.sub} title={visible(script.why)}>
          {visible(reasonOf(script.why))}
        </span>
      )}
      {unwell && mends(script.why).map((command) => <Command key={command}>{command}</Command>)}
      {script.warnings.map((warning) => (
        <span key={warning} className={css.bad}>
          <TriangleAlert size={12} aria-hidden /> {visible(warning)}
        </span>
      ))}
      {unwell && script.fallback && (
        <span className={css.sub}>
          {script.fallback === "wait" ? "Its tasks wait meanwhile" : `${visible(script.fallback)} answers meanwhile`}
        </span>
      )}
    </span>
  );
}

function columns(memory: ReadonlyMap<string, number>): Column<Script>[] {
  return [
    {
      key: "script",
      head: "Script",
      width: "minmax(190px, 1.4fr)",
      phone: "wide",
      cell: (script) => (
        <span className={css.name}>
          <Link to="/workers/$name" params={{ name: script.id }}>
            {visible(script.name)}
          </Link>
          <span className={css.sub}>{visible(script.file)}</span>
        </span>
      ),
    },
    {
      key: "state",
      head: "State",
      width: "124px",
      phone: "plain",
      cell: (script) => <StateBadge state={script.standing === "started" ? script.state : script.standing} />,
    },
    { key: "kind", head: "Kind", width: "minmax(90px, 130px)", cell: (script) => `${script.kind}, ${script.mode}` },
    { key: "processes", head: "Processes", width: "84px", right: true, cell: (script) => script.processes.length },
    {
      key: "memory",
      head: "Memory",
      width: "84px",
      right: true,
      phone: "hide",
      cell: (script) => bytes(memory.get(script.id) ?? null),
    },
    {
      key: "restarts",
      head: "Restarts",
      width: "70px",
      right: true,
      cell: (script) => script.processes.reduce((sum, one) => sum + one.restarts, 0),
    },
    {
      key: "care",
      head: "To mend",
      width: "minmax(160px, 2.4fr)",
      phone: "wide",
      cell: (script) => <ScriptCare script={script} />,
    },
    { key: "acts", head: "", width: "108px", phone: "plain", cell: (script) => <Restart script={script} small /> },
  ];
}

/** The scripts of the folder of workers: what needs a person comes first. */
export function Scripts({ scripts }: { scripts: readonly Script[] }) {
  const system = useGet("/api/v1/system", undefined, { refetchInterval: 10_000 });
  const memory = new Map<string, number>();
  for (const one of system.data?.scripts ?? []) {
    const script = scripts.find(
      (other) => other.processes.some((process) => process.id === one.id) || other.id === one.id,
    );
    if (script) memory.set(script.id, (memory.get(script.id) ?? 0) + (one.memory_bytes ?? 0));
  }
  return (
    <Table
      label="Scripts"
      columns={columns(memory)}
      rows={inCare(scripts)}
      rowKey={(script) => script.id}
      empty={
        <Empty icon={FileCode} title="No scripts are supervised here" command="kapelle serve">
          Files of Python, JavaScript or TypeScript in workers/ are started and restarted by the server, unless it was
          started with RUN_WORKERS=false. A new file is here in two seconds.
        </Empty>
      }
    />
  );
}
