import { Network, Pause, Play } from "lucide-react";
import { useState } from "react";
import { api, unwrap } from "../../api/client";
import type { Schema } from "../../api/paths";
import { reread, useGet } from "../../api/query";
import { useFilters } from "../../app/use-filters";
import { useAct } from "../../kit/act";
import { StateBadge } from "../../kit/badge";
import { Button, RoleNote } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Confirm } from "../../kit/dialog";
import { TextField } from "../../kit/fields";
import { count, many, visible } from "../../kit/format";
import { Card, Page as Frame } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Meter } from "../../kit/text";
import { useLiveReads } from "../../live/use-live";
import { Lanes } from "./lanes";
import css from "./queues.module.css";

type Queue = Schema<"Queue">;
const READ = ["/api/v1/queues", "/api/v1/counts", "/api/v1/tasks"];

function PauseDialog({ name, onClose }: { name: string; onClose: () => void }) {
  const [reason, setReason] = useState("");
  return (
    <Confirm
      title={`Pause the queue ${visible(name)}?`}
      yes="Pause"
      run={() =>
        unwrap(
          api.POST("/api/v1/queues/{name}/pause", {
            params: { path: { name } },
            body: reason.trim() ? { reason: reason.trim() } : {},
          }),
        ).then(() => reread(...READ))
      }
      onClose={onClose}
    >
      <p>No further task of it starts until it is resumed. What runs goes on to its end.</p>
      <TextField
        label="Reason"
        help="It is recorded, and shown to whoever asks why a task waits."
        value={reason}
        onChange={setReason}
      />
    </Confirm>
  );
}

function Actions({ queue, onPause }: { queue: Queue; onPause: () => void }) {
  const { busy, act } = useAct(...READ);
  const { name } = queue;
  if (!queue.paused) {
    return (
      <Button small may="operate" icon={Pause} onClick={onPause}>
        Pause
      </Button>
    );
  }
  return (
    <Button
      small
      may="operate"
      icon={Play}
      busy={busy !== null}
      onClick={() =>
        void act(
          "resume",
          () => unwrap(api.POST("/api/v1/queues/{name}/resume", { params: { path: { name } }, body: {} })),
          `The queue ${visible(name)} goes on`,
        )
      }
    >
      Resume
    </Button>
  );
}

function columns(opened: string, onOpen: (name: string) => void, onPause: (name: string) => void): Column<Queue>[] {
  return [
    {
      key: "name",
      head: "Queue",
      width: "minmax(130px, 1.4fr)",
      phone: "wide",
      cell: (queue) => (
        <span className={css.use}>
          <button
            type="button"
            className={css.open}
            aria-expanded={opened === queue.name}
            onClick={() => onOpen(queue.name)}
          >
            {visible(queue.name)}
          </button>
          {queue.warnings?.map((warning) => (
            <span key={warning} className={css.warn}>
              {visible(warning)}
            </span>
          ))}
        </span>
      ),
    },
    {
      key: "state",
      head: "State",
      width: "110px",
      phone: "plain",
      cell: (queue) =>
        queue.paused ? <StateBadge state="paused" /> : <StateBadge state={queue.running > 0 ? "busy" : "idle"} />,
    },
    {
      key: "slots",
      head: "Slots",
      width: "minmax(110px, 160px)",
      cell: (queue) => (
        <span className={css.use}>
          <span className="num">
            {count(queue.running)} of {count(queue.slots)} in use
          </span>
          <Meter
            share={queue.slots ? queue.running / queue.slots : 0}
            label={`${queue.running} of ${queue.slots} slots in use`}
          />
        </span>
      ),
    },
    { key: "ready", head: "Ready", width: "70px", right: true, cell: (queue) => count(queue.ready) },
    {
      key: "waiting",
      head: "Not yet",
      width: "70px",
      right: true,
      cell: (queue) => <span title="Scheduled, retrying, held or parked">{count(queue.waiting)}</span>,
    },
    {
      key: "listeners",
      head: "Listeners",
      width: "90px",
      right: true,
      cell: (queue) =>
        queue.listeners === 0 ? <span className={css.warn}>0 listen</span> : count(queue.listeners ?? null),
    },
    {
      key: "acts",
      head: "",
      width: "108px",
      phone: "plain",
      cell: (queue) => <Actions queue={queue} onPause={() => onPause(queue.name)} />,
    },
  ];
}

export function Page() {
  const [search, set] = useFilters();
  const [pausing, setPausing] = useState<string | null>(null);
  const queues = useGet("/api/v1/queues", undefined, { keep: true, refetchInterval: 3_000 });
  useLiveReads("queues", READ);
  const busiest = queues.data?.queues.toSorted((a, b) => b.ready + b.waiting - a.ready - a.waiting)[0];
  const opened = search.queue ?? busiest?.name ?? "";
  const all = queues.data?.queues.reduce((sum, queue) => sum + queue.ready + queue.waiting, 0) ?? 0;
  return (
    <Frame
      title="Queues"
      sub={
        queues.data
          ? `${many(all, "task")} ${all === 1 ? "waits" : "wait"} in ${many(queues.data.queues.length, "queue")}. A queue has slots; a lane is the tasks of one worker in it.`
          : "What waits, where, and for what."
      }
      actions={
        <>
          <RoleNote may="operate" to="pause queues" />
          <CopyAs
            recipe={{
              method: "GET",
              path: "/api/v1/queues",
              cli: "queues list",
              python: "for queue in client.queues.list():\n    print(queue)",
              typescript: "for (const queue of await client.queues.list()) console.log(queue);",
            }}
          />
          {opened && (
            <CopyAs
              label="Pause as"
              recipe={{
                method: "POST",
                path: `/api/v1/queues/${encodeURIComponent(opened)}/pause`,
                body: {},
                cli: `queues pause ${opened}`,
                python: `client.queues.pause(${JSON.stringify(opened)})`,
                typescript: `await client.queues.pause(${JSON.stringify(opened)});`,
              }}
            />
          )}
        </>
      }
    >
      <Card flush>
        <Loaded of={queues} what="The queues">
          {(data) => (
            <Table
              label="Queues"
              columns={columns(opened, (queue) => set({ queue }), setPausing)}
              rows={data.queues}
              rowKey={(queue) => queue.name}
              onOpen={(queue) => set({ queue: queue.name })}
              empty={
                <Empty icon={Network} title="No queues" command="kapelle queues list">
                  A queue appears with the first worker or task that names it.
                </Empty>
              }
            />
          )}
        </Loaded>
      </Card>
      {opened && <Lanes key={opened} queue={opened} />}
      {pausing && <PauseDialog name={pausing} onClose={() => setPausing(null)} />}
    </Frame>
  );
}
