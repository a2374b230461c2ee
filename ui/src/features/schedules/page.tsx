import { Link, useNavigate } from "@tanstack/react-router";
import { CalendarClock, Pencil } from "lucide-react";
import { useState } from "react";
import type { Schema } from "../../api/paths";
import { useGet } from "../../api/query";
import { useFilters, useParam } from "../../app/use-filters";
import { Mark, StateBadge } from "../../kit/badge";
import { Button, RoleNote } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { CheckField } from "../../kit/fields";
import { count, duration, visible } from "../../kit/format";
import { Card, Columns, Facts, Page as Frame } from "../../kit/page";
import { Empty, Loaded, Notice } from "../../kit/said";
import { shell } from "../../kit/snippets";
import { type Column, Table } from "../../kit/table";
import { Json } from "../../kit/text";
import { Time } from "../../kit/time";
import { useLiveReads } from "../../live/use-live";
import { Backfill, Delete, FireNow, PauseOrResume, path, READ } from "./act";
import { ScheduleForm } from "./form";
import { CATCH_UP, clockOf, nameOf, OVERLAP, standing, startedNothing } from "./model";
import css from "./schedules.module.css";
import { Target, Until } from "./shown";

type Schedule = Schema<"Schedule">;
type Fire = Schema<"Fire">;

function Planned({ at }: { at: string }) {
  const clock = clockOf(at);
  return (
    <time className="num" dateTime={at} title={at}>
      {clock ? `${clock.day} ${clock.clock} ${clock.offset}` : at}
    </time>
  );
}

const FIRES: Column<Fire>[] = [
  {
    key: "planned",
    head: "Planned",
    width: "minmax(150px, 1fr)",
    phone: "wide",
    cell: (fire) => <Planned at={fire.scheduled_at} />,
  },
  {
    key: "state",
    head: "State",
    width: "120px",
    phone: "plain",
    cell: (fire) => <StateBadge state={fire.state} word={fire.state === "paused" ? "was paused" : undefined} />,
  },
  { key: "by", head: "Fired by", width: "80px", cell: (fire) => (fire.kind === "manual" ? "hand" : "time") },
  {
    key: "why",
    head: "What became of it",
    width: "minmax(180px, 3fr)",
    phone: "wide",
    cell: (fire) => {
      if (fire.run) {
        return (
          <Link to="/runs/$run" params={{ run: fire.run }}>
            {fire.run}
          </Link>
        );
      }
      if (fire.task) {
        return (
          <Link to="/tasks/$task" params={{ task: fire.task }}>
            {fire.task}
          </Link>
        );
      }
      return visible(fire.explanation);
    },
  },
  { key: "at", head: "Decided", width: "minmax(84px, 100px)", cell: (fire) => <Time at={fire.at} age /> },
];

function Rules({ of: one }: { of: Schedule }) {
  const inputs = one.with !== null && JSON.stringify(one.with) !== "{}";
  return (
    <Card title="Rules">
      <Facts
        of={[
          ["Starts", <Target key="t" of={one} />],
          [
            "Times",
            <span key="c" className="mono">
              {visible(one.cron)}
            </span>,
          ],
          ["Time zone", visible(one.timezone)],
          ["Missed times", nameOf(CATCH_UP, one.catch_up)],
          ["While one is open", nameOf(OVERLAP, one.overlap)],
          ["Random delay", one.jitter_ms ? `at most ${duration(one.jitter_ms)}` : "none"],
          ["Made by", visible(one.created_by ?? "the owner of the folder")],
          ["Made", <Time key="m" at={one.created_at} />],
        ]}
      />
      {inputs && <Json value={one.with} name={`${one.name}.json`} />}
    </Card>
  );
}

function Next({ of: one }: { of: Schedule }) {
  return (
    <Card title="Next times">
      {one.paused && (
        <Notice tone="warn">
          It is paused: {visible(one.paused_reason ?? "no reason was given")}. These times pass without a fire, unless
          it is resumed before.
        </Notice>
      )}
      {one.next.length === 0 && <Notice tone="calm">No time of it comes again.</Notice>}
      <ol className={css.next}>
        {one.next.map((at) => (
          <li key={at}>
            <Until at={at} />
          </li>
        ))}
      </ol>
    </Card>
  );
}

function Fires({ of: one }: { of: Schedule }) {
  const [search, set] = useFilters();
  const idle = search.fires === "idle";
  const fires = one.fires ?? [];
  const shown = idle ? fires.filter((fire) => startedNothing(fire.state)) : fires;
  return (
    <Card
      title="Last fires"
      flush
      actions={
        <CheckField
          label={`Only those that started nothing (${count(fires.filter((fire) => startedNothing(fire.state)).length)})`}
          value={idle}
          onChange={(on) => set({ fires: on ? "idle" : "" })}
        />
      }
    >
      <Table
        label="Last fires"
        columns={FIRES}
        rows={shown}
        rowKey={(fire) => `${fire.scheduled_at} ${fire.kind}`}
        empty={
          idle ? (
            <Empty
              title="Every time started something"
              action={<Button onClick={() => set({ fires: "" })}>Show all</Button>}
            />
          ) : (
            <Empty
              icon={CalendarClock}
              title="It was not fired yet"
              command={`kapelle schedules fire ${shell(one.name)}`}
            >
              Each time appears here with what it started, or the reason why it started nothing.
            </Empty>
          )
        }
      />
    </Card>
  );
}

export function Page() {
  const name = useParam("name");
  const navigate = useNavigate();
  const [changing, setChanging] = useState(false);
  const asked = useGet("/api/v1/schedules/{name}", { params: { path: { name } } }, { refetchInterval: 5_000 });
  useLiveReads("runs", [READ[1]], 1_500);
  const one = asked.data;
  return (
    <Frame
      title={visible(name)}
      badge={
        one && (
          <>
            <StateBadge {...standing(one)} />
            {one.queued > 0 && <Mark tone="warn">{count(one.queued)} wait for the end of an earlier one</Mark>}
          </>
        )
      }
      sub={<RoleNote may="operate" to="change or fire schedules" />}
      actions={
        one && (
          <>
            <CopyAs
              recipe={{
                method: "GET",
                path: path(name),
                cli: `schedules show ${shell(name)}`,
                python: `print(client.schedules.get(${JSON.stringify(name)}))`,
                typescript: `console.log(await client.schedules.get(${JSON.stringify(name)}));`,
              }}
            />
            <FireNow name={name} />
            <Backfill name={name} />
            <PauseOrResume schedule={one} />
            <Button may="operate" icon={Pencil} onClick={() => setChanging(true)}>
              Change
            </Button>
            <Delete name={name} onDone={() => void navigate({ to: "/schedules" })} />
          </>
        )
      }
    >
      <Loaded of={asked} what="The schedule">
        {(schedule) => (
          <>
            <Columns>
              <Next of={schedule} />
              <Rules of={schedule} />
            </Columns>
            <Fires of={schedule} />
          </>
        )}
      </Loaded>
      {changing && one && (
        <ScheduleForm change={one} onClose={() => setChanging(false)} onDone={() => setChanging(false)} />
      )}
    </Frame>
  );
}
