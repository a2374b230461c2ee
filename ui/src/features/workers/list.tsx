import { Link, useNavigate } from "@tanstack/react-router";
import { Boxes, RotateCcw } from "lucide-react";
import { useState } from "react";
import { api, unwrap } from "../../api/client";
import { useGet } from "../../api/query";
import { useFilters } from "../../app/use-filters";
import { StateBadge } from "../../kit/badge";
import { Button, RoleNote } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Confirm } from "../../kit/dialog";
import { SearchField } from "../../kit/fields";
import { count, percent, visible } from "../../kit/format";
import { Card, Page as Frame, Grow, Toolbar } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Tabs } from "../../kit/tabs";
import { Duration, Time } from "../../kit/time";
import { say } from "../../kit/toast";
import { useLiveReads } from "../../live/use-live";
import { Hosts } from "./hosts";
import { absence, type Health, needsCare, reasonOf, type Script } from "./model";
import { Scripts } from "./scripts";
import css from "./workers.module.css";

function columns(scripts: readonly Script[]): Column<Health>[] {
  const broken = new Map(
    scripts.filter((one) => one.standing === "cannot_start" || one.state === "crashed").map((one) => [one.name, one]),
  );
  return [
    {
      key: "worker",
      head: "Worker",
      width: "minmax(150px, 1.6fr)",
      phone: "wide",
      cell: (worker) => (
        <span className={css.name}>
          <Link to="/workers/$name" params={{ name: worker.name }}>
            {visible(worker.name)}
          </Link>
          {absence(worker) && <span className={css.bad}>{absence(worker)}</span>}
          {broken.has(worker.name) && (
            <span className={css.bad}>
              Its script cannot work: {visible(reasonOf(broken.get(worker.name)?.why ?? ""))}
            </span>
          )}
        </span>
      ),
    },
    {
      key: "state",
      head: "State",
      width: "100px",
      phone: "plain",
      cell: (worker) => <StateBadge state={worker.state} />,
    },
    { key: "queue", head: "Queue", width: "minmax(70px, 110px)", cell: (worker) => visible(worker.queue) },
    {
      key: "where",
      head: "Served by",
      width: "minmax(90px, 130px)",
      cell: (worker) =>
        [worker.here && "the server", worker.hosts > 0 && `${worker.hosts} ${worker.hosts === 1 ? "host" : "hosts"}`]
          .filter(Boolean)
          .join(", ") || "nothing",
    },
    {
      key: "now",
      head: "Running, ready",
      width: "124px",
      right: true,
      cell: (worker) => `${count(worker.running)}, ${count(worker.ready)}`,
    },
    {
      key: "done",
      head: "Done, failed",
      width: "110px",
      right: true,
      cell: (worker) => (
        <span title={`${percent(worker.failure_rate)} failed since the server was started`}>
          {count(worker.succeeded)}, {count(worker.failed)}
        </span>
      ),
    },
    {
      key: "mean",
      head: "Mean",
      width: "80px",
      right: true,
      phone: "hide",
      cell: (worker) => <Duration ms={worker.mean_ms} />,
    },
    { key: "last", head: "Last", width: "96px", cell: (worker) => <Time at={worker.last_run} age /> },
  ];
}

const VIEWS = ["workers", "scripts", "hosts"] as const;
type View = (typeof VIEWS)[number];

export function Page() {
  const [search, set] = useFilters();
  const navigate = useNavigate();
  const [asking, setAsking] = useState(false);
  const status = useGet("/api/v1/workers/status", undefined, { keep: true, refetchInterval: 5_000 });
  useLiveReads("workers", ["/api/v1/workers/status", "/api/v1/scripts"], 1_000);
  const q = (search.q ?? "").toLowerCase();
  const view: View = VIEWS.find((one) => one === search.view) ?? "workers";
  const known = status.data;
  const scripts = known?.scripts ?? [];
  const unwell = scripts.filter(needsCare).length;
  return (
    <Frame
      title="Workers"
      sub="What answers tasks: workers of the server, scripts of the folder workers/, hosts on other machines."
      actions={
        <>
          <RoleNote may="operate" to="restart or scale" />
          <CopyAs
            recipe={{
              method: "GET",
              path: "/api/v1/workers/status",
              cli: "workers list",
              python: "print(client.workers.status())",
              typescript: "console.log(await client.workers.status());",
            }}
          />
          {scripts.length > 0 && (
            <Button may="operate" icon={RotateCcw} onClick={() => setAsking(true)}>
              Restart all scripts
            </Button>
          )}
        </>
      }
    >
      <Toolbar label="What is shown">
        <Tabs
          label="Views"
          value={view}
          onChange={(next) => set({ view: next === "workers" ? "" : next })}
          tabs={[
            { id: "workers", name: "Workers", ...(known ? { count: known.workers.length } : {}) },
            {
              id: "scripts",
              name: unwell > 0 ? `Scripts (${unwell} to mend)` : "Scripts",
              ...(known ? { count: scripts.length } : {}),
            },
            { id: "hosts", name: "Hosts", ...(known ? { count: known.hosts.length } : {}) },
          ]}
        />
        <Grow />
        <SearchField label="Name or queue" value={search.q ?? ""} onChange={(next) => set({ q: next })} />
      </Toolbar>
      <Loaded of={status} what="The workers">
        {(data) => (
          <Card flush>
            {view === "workers" && (
              <Table
                label="Workers"
                columns={columns(scripts)}
                rows={data.workers.filter((one) => `${one.name} ${one.queue}`.toLowerCase().includes(q))}
                rowKey={(worker) => worker.name}
                onOpen={(worker) => void navigate({ to: "/workers/$name", params: { name: worker.name } })}
                empty={
                  <Empty icon={Boxes} title="No worker has this name" command="kapelle workers list">
                    A worker is a file in workers/, of code or of a few lines of YAML. A new file is here in a second.
                  </Empty>
                }
              />
            )}
            {view === "scripts" && (
              <Scripts scripts={(data.scripts ?? []).filter((one) => one.name.toLowerCase().includes(q))} />
            )}
            {view === "hosts" && <Hosts hosts={data.hosts} />}
          </Card>
        )}
      </Loaded>
      {asking && (
        <Confirm
          title="Restart all scripts?"
          yes="Restart all"
          run={async () => {
            const done = await unwrap(
              api.POST("/workers/restart-all", { body: { reason: "by hand, in the console" } }),
            );
            say(`${done.restarted} processes are restarted`);
          }}
          onClose={() => setAsking(false)}
        >
          <p>
            Each process ends its task first or is ended after its grace time. Tasks that it held are taken up again,
            and recorded answers of models are used again for $0.
          </p>
        </Confirm>
      )}
    </Frame>
  );
}
