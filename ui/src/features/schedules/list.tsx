import { Link, useNavigate } from "@tanstack/react-router";
import { CalendarClock, Plus } from "lucide-react";
import { useState } from "react";
import type { Schema } from "../../api/paths";
import { useRows } from "../../api/query";
import { useFilters } from "../../app/use-filters";
import { Mark, StateBadge } from "../../kit/badge";
import { Button, RoleNote } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { SearchField } from "../../kit/fields";
import { count, visible } from "../../kit/format";
import { Card, Page as Frame, Toolbar } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { useLiveReads } from "../../live/use-live";
import { FireNow, PauseOrResume, READ } from "./act";
import { ScheduleForm } from "./form";
import { later, standing } from "./model";
import css from "./schedules.module.css";
import { Target, Until } from "./shown";

type Schedule = Schema<"Schedule">;

const COLUMNS: Column<Schedule>[] = [
  {
    key: "name",
    head: "Schedule",
    width: "minmax(150px, 1.3fr)",
    phone: "wide",
    cell: (one) => (
      <span className={css.name}>
        <Link to="/schedules/$name" params={{ name: one.name }}>
          {visible(one.name)}
        </Link>
        <small>
          <span className="mono">{visible(one.cron)}</span> {visible(one.timezone)}
        </small>
      </span>
    ),
  },
  { key: "starts", head: "Starts", width: "minmax(120px, 1fr)", cell: (one) => <Target of={one} /> },
  {
    key: "state",
    head: "State",
    width: "minmax(104px, 150px)",
    phone: "plain",
    cell: (one) => (
      <span className={css.name}>
        <span>
          <StateBadge {...standing(one)} /> {one.queued > 0 && <Mark tone="warn">{count(one.queued)} wait</Mark>}
        </span>
        {one.paused_reason && <small>{visible(one.paused_reason)}</small>}
      </span>
    ),
  },
  {
    key: "next",
    head: "Next",
    width: "minmax(200px, 1.8fr)",
    phone: "wide",
    cell: (one) =>
      one.paused || one.next.length === 0 ? (
        <span className="muted">{one.paused ? "nothing while it is paused" : "–"}</span>
      ) : (
        <span className={css.name}>
          <span>
            <Until at={one.next[0]} />
          </span>
          <small>then {later(one.next)}</small>
        </span>
      ),
  },
  {
    key: "last",
    head: "Last",
    width: "minmax(150px, 1.4fr)",
    phone: "wide",
    cell: (one) =>
      one.last ? (
        <span className={css.name}>
          <span>
            <StateBadge state={one.last.state} plain /> <Time at={one.last.at} age />
          </span>
          <small>{visible(one.last.explanation)}</small>
        </span>
      ) : (
        <span className="muted">not fired yet</span>
      ),
  },
  {
    key: "acts",
    head: "",
    width: "216px",
    phone: "plain",
    cell: (one) => (
      <span className={css.samples}>
        <FireNow small name={one.name} />
        <PauseOrResume small schedule={one} />
      </span>
    ),
  },
];

const pick = (page: { schedules: Schedule[] }): readonly Schedule[] => page.schedules;

export function Page() {
  const [search, set] = useFilters();
  const navigate = useNavigate();
  const [making, setMaking] = useState(false);
  const schedules = useRows("/api/v1/schedules", {}, pick, { refetchInterval: 5_000 });
  useLiveReads("runs", [READ[0]], 2_000);
  const wanted = (search.q ?? "").toLowerCase();
  const open = (name: string): void => void navigate({ to: "/schedules/$name", params: { name } });
  return (
    <Frame
      title="Schedules"
      sub="Runs and tasks that start at set times. Every time is accounted for: what it started, or why it started nothing."
      actions={
        <>
          <RoleNote may="operate" to="make or change schedules" />
          <CopyAs
            recipe={{
              method: "GET",
              path: "/api/v1/schedules",
              cli: "schedules list",
              python: "for schedule in client.schedules.list():\n    print(schedule)",
              typescript: "for (const one of await client.schedules.list()) console.log(one);",
            }}
          />
          <Button may="operate" kind="primary" icon={Plus} onClick={() => setMaking(true)}>
            Make a schedule
          </Button>
        </>
      }
    >
      <Toolbar label="Filters">
        <SearchField label="Name or what it starts" value={search.q ?? ""} onChange={(q) => set({ q })} />
      </Toolbar>
      <Card flush>
        <Loaded of={schedules} what="The schedules">
          {(rows) => (
            <Table
              label="Schedules"
              columns={COLUMNS}
              rows={rows.filter((one) =>
                `${one.name} ${one.workflow ?? ""} ${one.worker ?? ""}`.toLowerCase().includes(wanted),
              )}
              rowKey={(one) => one.name}
              onOpen={(one) => open(one.name)}
              more={schedules.more}
              empty={
                wanted ? (
                  <Empty
                    title="No schedule has this name"
                    action={<Button onClick={() => set({ q: "" })}>Show all</Button>}
                  />
                ) : (
                  <Empty
                    icon={CalendarClock}
                    title="No schedules yet"
                    command="kapelle schedules create nightly --cron '30 2 * * *' --workflow hello"
                  >
                    A schedule starts a workflow or a worker at set times, each time exactly once, also around a crash.
                  </Empty>
                )
              }
            />
          )}
        </Loaded>
      </Card>
      {making && <ScheduleForm onClose={() => setMaking(false)} onDone={open} />}
    </Frame>
  );
}
