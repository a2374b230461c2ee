import { RotateCcw, Skull, Trash2 } from "lucide-react";
import { useState } from "react";
import { api, once, unwrap } from "../../api/client";
import type { BulkResult, DeadGroup } from "../../api/paths";
import { reread, useGet } from "../../api/query";
import { useFilters } from "../../app/use-filters";
import { Bulk } from "../../kit/bulk";
import { Button, RoleNote } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Pick, SearchField } from "../../kit/fields";
import { count, visible } from "../../kit/format";
import { Card, Page as Frame, Toolbar } from "../../kit/page";
import { Empty, Loaded, Notice } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { useLiveReads } from "../../live/use-live";
import type { Act } from "./act";
import css from "./dead.module.css";
import { GroupCard } from "./group";
import { keyOf } from "./model";

function columns(onAct: (act: Act) => void): Column<DeadGroup>[] {
  return [
    {
      key: "error",
      head: "Error",
      width: "minmax(220px, 3fr)",
      phone: "wide",
      cell: (group) => (
        <span className={css.what}>
          <strong>
            {visible(group.worker)}: {group.category.replaceAll("_", " ")}
          </strong>
          <span className={css.message}>{visible(group.message)}</span>
        </span>
      ),
    },
    { key: "tasks", head: "Tasks", width: "70px", right: true, cell: (group) => count(group.tasks) },
    { key: "newest", head: "Newest", width: "minmax(84px, 100px)", cell: (group) => <Time at={group.newest_at} age /> },
    {
      key: "oldest",
      head: "Oldest",
      width: "minmax(84px, 100px)",
      phone: "hide",
      cell: (group) => <Time at={group.oldest_at} age />,
    },
    {
      key: "acts",
      head: "",
      width: "minmax(180px, max-content)",
      phone: "wide",
      cell: (group) => (
        <span className={css.acts}>
          <Button
            small
            may="operate"
            icon={RotateCcw}
            onClick={() => onAct({ action: "retry", ids: group.ids, group: keyOf(group) })}
          >
            Retry
          </Button>
          <Button
            small
            kind="danger"
            may="operate"
            icon={Trash2}
            onClick={() => onAct({ action: "discard", ids: group.ids, group: keyOf(group) })}
          >
            Discard
          </Button>
        </span>
      ),
    },
  ];
}

function matches(group: DeadGroup, q: string, category: string): boolean {
  return (
    (!category || group.category === category) &&
    (!q || `${group.worker} ${group.message}`.toLowerCase().includes(q.toLowerCase()))
  );
}

function Nothing({ filtered, onAll }: { filtered: boolean; onAll: () => void }) {
  if (filtered)
    return <Empty title="No error matches these filters" action={<Button onClick={onAll}>Show all</Button>} />;
  return (
    <Empty icon={Skull} title="Nothing is dead" command="kapelle dead list">
      A single task that failed after its last attempt is kept here until somebody retries or discards it. Steps of runs
      are repeated from the run.
    </Empty>
  );
}

export function Page() {
  const [search, set] = useFilters();
  const [acting, setActing] = useState<Act | null>(null);
  const groups = useGet("/api/v1/dead/groups", undefined, { keep: true, refetchInterval: 10_000 });
  useLiveReads("tasks", ["/api/v1/dead/groups"], 3_000);
  const { q = "", category = "", group: opened } = search;
  const ask = ({ action, ids }: Act, dryRun: boolean): Promise<BulkResult> =>
    unwrap(
      api.POST("/api/v1/dead/bulk", {
        body: { action, ids: ids.slice(0, 1_000), dry_run: dryRun },
        headers: { "idempotency-key": once() },
      }),
    );
  return (
    <Frame
      title="Dead"
      sub="Single tasks that failed for good, by error. Nothing here is tried again by itself."
      actions={
        <>
          <RoleNote may="operate" to="retry or discard" />
          <CopyAs
            recipe={{
              method: "GET",
              path: "/api/v1/dead/groups",
              cli: "dead list",
              python: "for task in client.dead.list():\n    print(task.id, task.error)",
              typescript: "for (const task of await client.dead.list()) console.log(task.id, task.error);",
            }}
          />
        </>
      }
    >
      <Loaded of={groups} what="The dead letters">
        {(data) => {
          const shown = data.groups.filter((one) => matches(one, q, category));
          const open = data.groups.find((one) => keyOf(one) === opened);
          const categories = [...new Set(data.groups.map((one) => one.category))].sort();
          return (
            <>
              {data.groups.length > 0 && (
                <Toolbar label="Filters">
                  <SearchField label="Worker or error" value={q} onChange={(next) => set({ q: next })} />
                  <Pick
                    label="Error"
                    value={category}
                    choices={["", ...categories].map((value) => ({
                      value,
                      label: value ? value.replaceAll("_", " ") : "any error",
                    }))}
                    onChange={(next) => set({ category: next })}
                  />
                </Toolbar>
              )}
              {data.more && (
                <Notice tone="warn">There are more dead letters than were looked at; these are the newest.</Notice>
              )}
              <Card flush>
                <Table
                  label="Dead letters by error"
                  columns={columns(setActing)}
                  rows={shown}
                  rowKey={keyOf}
                  onOpen={(group) => set({ group: keyOf(group) === opened ? "" : keyOf(group) })}
                  empty={
                    <Nothing filtered={data.groups.length > 0} onAll={() => set({ q: "", category: "", group: "" })} />
                  }
                />
              </Card>
              {open && <GroupCard key={keyOf(open)} group={open} onAct={setActing} />}
            </>
          );
        }}
      </Loaded>
      {acting && (
        <Bulk
          title={acting.action === "retry" ? "Retry dead letters" : "Discard dead letters"}
          yes={acting.action === "retry" ? "Retry" : "Discard"}
          noun="task"
          danger={acting.action === "discard"}
          price={acting.action === "retry" ? "Done fresh they would cost what they cost so far:" : "They cost so far:"}
          ask={(dryRun) => ask(acting, dryRun)}
          onClose={() => setActing(null)}
          onDone={() => reread("/api/v1/dead/groups", "/api/v1/dead", "/api/v1/counts")}
        />
      )}
    </Frame>
  );
}
