import type { System } from "../../api/paths";
import { useGet } from "../../api/query";
import { useMay, useSession } from "../../app/use-session";
import { StateBadge } from "../../kit/badge";
import { RoleNote } from "../../kit/button";
import { bytes, percent, visible } from "../../kit/format";
import { Card, Columns, Facts, Page as Frame, Stat, Stats } from "../../kit/page";
import { Loaded } from "../../kit/said";
import { Meter } from "../../kit/text";
import { Duration } from "../../kit/time";
import { Config } from "./config";
import { Doctor, Health } from "./health";
import { diskShare } from "./model";

function share(part: number | null | undefined, all: number | null | undefined): number | null {
  return part == null || !all ? null : part / all;
}

function Machine({ of }: { of: System }) {
  const { machine, process, disk, cpus } = of;
  const memory =
    machine.memory_total_bytes != null && machine.memory_available_bytes != null
      ? share(machine.memory_total_bytes - machine.memory_available_bytes, machine.memory_total_bytes)
      : null;
  const full = diskShare(disk);
  const meter = (part: number | null, words: string) =>
    part === null ? null : (
      <Meter share={part} tone={part > 0.9 ? "bad" : part > 0.75 ? "warn" : "good"} label={words} />
    );
  return (
    <>
      <Stats>
        <Stat name="Server's processor" note={`of ${cpus} cores, over 10 s`}>
          {process.cpu == null ? "–" : `${process.cpu.toFixed(2)} cores`}
        </Stat>
        <Stat name="Server's memory" note={`process ${of.pid}`}>
          {bytes(process.memory_bytes)}
        </Stat>
        <Stat name="Machine's processor" note={meter(share(machine.cpu, cpus), "of all cores in use")}>
          {machine.cpu == null ? "–" : percent(machine.cpu / cpus)}
        </Stat>
        <Stat name="Machine's memory" note={meter(memory, "of the memory in use")}>
          {percent(memory)}
        </Stat>
        <Stat name="Disk" note={meter(full, "of the disk in use")}>
          {full === null ? "–" : `${percent(full)} full`}
        </Stat>
      </Stats>
      <Card title="State on disk">
        <Facts
          of={[
            ["Folder", <code key="f">{visible(disk.folder)}</code>],
            ["Database", bytes(disk.database_bytes)],
            ["History", bytes(disk.history_bytes)],
            ["Disk in use", bytes(disk.used_bytes)],
            ["Free", bytes(disk.free_bytes)],
            ["Up for", <Duration key="u" ms={of.uptime_ms} />],
          ]}
        />
      </Card>
    </>
  );
}

export function Page() {
  const { me } = useSession();
  const mayOperate = useMay("operate");
  const mayAdminister = useMay("administer");
  const own = me?.server !== false;
  const system = useGet("/api/v1/system", undefined, { enabled: own, keep: true, refetchInterval: 5_000 });
  const health = useGet("/health");
  return (
    <Frame
      title="System"
      badge={health.data && <StateBadge state={health.data.status} />}
      sub={health.data && `Kapelle ${health.data.version}`}
    >
      {own ? (
        <Loaded of={system} what="The use of the machine">
          {(data) => <Machine of={data} />}
        </Loaded>
      ) : (
        <p className="muted">The machine is for keys of tenant 1, which owns the server.</p>
      )}
      <Columns>
        <Health />
        {own && mayOperate ? <Doctor /> : <RoleNote may="operate" to="ask the doctor" />}
      </Columns>
      {own && mayAdminister ? <Config /> : <RoleNote may="administer" to="see the configuration" />}
    </Frame>
  );
}
