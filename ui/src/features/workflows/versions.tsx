import { RotateCcw, Trash2 } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { api, unwrap } from "../../api/client";
import type { Version } from "../../api/paths";
import { reread, useGet } from "../../api/query";
import { Mark } from "../../kit/badge";
import { Button } from "../../kit/button";
import { Confirm } from "../../kit/dialog";
import { Pick } from "../../kit/fields";
import { visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { Empty, Loaded, Loading } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Tabs } from "../../kit/tabs";
import { Time } from "../../kit/time";
import { type Change, changes, diffLines } from "./diff";
import css from "./workflows.module.css";

const GraphView = lazy(() => import("../runs/graph"));
const PATHS = [
  "/api/v1/workflows/{name}",
  "/api/v1/workflows/{name}/{number}",
  "/api/v1/workflows/{name}/{number}/graph",
  "/api/v1/workflows/catalog",
];
const TONES = { added: "good", removed: "bad", changed: "warn" } as const;
const SIGNS = { add: "+", drop: "-", same: "", place: "" };

function TextDiff({ name, from, to }: { name: string; from: number; to: number }) {
  const asked = useGet("/api/v1/workflows/{name}/diff", {
    params: { path: { name }, query: { from: String(from), to: String(to) } as never },
  });
  return (
    <Loaded of={asked} what="The difference">
      {(data) => {
        const lines = diffLines(data.diff);
        if (lines.length === 0) return <Empty title="The texts are equal" />;
        return (
          <div
            className={css.diff}
            tabIndex={0}
            role="group"
            aria-label={`Difference between version ${from} and ${to}`}
          >
            {lines.map((line, at) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a line has no name but its place
              <div key={at} className={css[line.kind]}>
                <span aria-hidden>{SIGNS[line.kind]}</span>
                <span>
                  {line.kind === "add" && <span className="sr">added: </span>}
                  {line.kind === "drop" && <span className="sr">removed: </span>}
                  {visible(line.text)}
                </span>
              </div>
            ))}
          </div>
        );
      }}
    </Loaded>
  );
}

function GraphDiff({ name, from, to }: { name: string; from: number; to: number }) {
  const before = useGet("/api/v1/workflows/{name}/{number}/graph", {
    params: { path: { name, number: String(from) } },
  });
  const after = useGet("/api/v1/workflows/{name}/{number}/graph", { params: { path: { name, number: String(to) } } });
  return (
    <Loaded of={before} what="The graph of the earlier version">
      {(old) => (
        <Loaded of={after} what="The graph of the later version">
          {(now) => {
            const found = changes(old, now);
            return (
              <>
                <div className={css.changes}>
                  {found.size === 0 && <span className="muted">No step differs: only the text around them does.</span>}
                  {[...found].map(([path, change]) => (
                    <Mark key={path} tone={TONES[change]}>
                      {change} {visible(path)}
                    </Mark>
                  ))}
                </div>
                <Suspense fallback={<Loading what="the graph" />}>
                  <GraphView graph={now} tones={found as ReadonlyMap<string, Change>} />
                </Suspense>
              </>
            );
          }}
        </Loaded>
      )}
    </Loaded>
  );
}

export function Versions({ name, versions }: { name: string; versions: readonly Version[] }) {
  const newest = versions[0]?.number ?? 1;
  const [from, setFrom] = useState(versions[1]?.number ?? newest);
  const [to, setTo] = useState(newest);
  const [kind, setKind] = useState<"text" | "graph">("text");
  const [asking, setAsking] = useState<{ act: "roll" | "delete"; number: number } | null>(null);
  const choices = versions.map((one) => ({ value: String(one.number), label: `version ${one.number}` }));
  const columns: Column<Version>[] = [
    {
      key: "number",
      head: "Version",
      width: "120px",
      phone: "wide",
      cell: (one) => <strong>{one.number === newest ? `${one.number}, newest` : one.number}</strong>,
    },
    { key: "made", head: "Stored", width: "minmax(130px, 1fr)", cell: (one) => <Time at={one.created_at} /> },
    {
      key: "file",
      head: "File",
      width: "minmax(120px, 2fr)",
      cell: (one) => <span className="mono">{visible(one.file)}</span>,
    },
    {
      key: "sha",
      head: "SHA-256",
      width: "120px",
      phone: "hide",
      cell: (one) => (
        <span className="mono" title={one.sha256}>
          {one.sha256.slice(0, 12)}
        </span>
      ),
    },
    {
      key: "acts",
      head: "",
      width: "200px",
      right: true,
      phone: "plain",
      cell: (one) =>
        one.number !== newest && (
          <>
            <Button small may="submit" icon={RotateCcw} onClick={() => setAsking({ act: "roll", number: one.number })}>
              Roll back
            </Button>{" "}
            <Button
              small
              may="operate"
              kind="danger"
              icon={Trash2}
              label={`Delete version ${one.number}`}
              onClick={() => setAsking({ act: "delete", number: one.number })}
            />
          </>
        ),
    },
  ];
  const go = (): Promise<unknown> => {
    const number = asking?.number ?? 0;
    const done =
      asking?.act === "roll"
        ? unwrap(api.POST("/api/v1/workflows/{name}/rollback", { params: { path: { name } }, body: { number } }))
        : unwrap(
            api.DELETE("/api/v1/workflows/{name}/{number}", {
              params: { path: { name, number: String(number) as never } },
            }),
          );
    return done.then(() => reread(...PATHS));
  };
  return (
    <>
      <Card title="Versions" flush>
        <Table
          label="Versions"
          columns={columns}
          rows={versions}
          rowKey={(one) => String(one.number)}
          empty={
            <Empty title="No version is stored" command={`kapelle run ${name}`}>
              The first run, or publishing it, stores the first version.
            </Empty>
          }
        />
      </Card>
      {versions.length > 1 && (
        <Card
          title="Difference"
          actions={
            <>
              <Pick label="From" value={String(from)} choices={choices} onChange={(value) => setFrom(Number(value))} />
              <Pick label="to" value={String(to)} choices={choices} onChange={(value) => setTo(Number(value))} />
              <Tabs
                small
                label="Kind of difference"
                value={kind}
                onChange={setKind}
                tabs={[
                  { id: "text", name: "Text" },
                  { id: "graph", name: "Graph" },
                ]}
              />
            </>
          }
        >
          {kind === "text" ? (
            <TextDiff name={name} from={from} to={to} />
          ) : (
            <GraphDiff name={name} from={from} to={to} />
          )}
        </Card>
      )}
      {asking?.act === "roll" && (
        <Confirm
          title={`Roll back to version ${asking.number}?`}
          yes="Roll back"
          run={go}
          onClose={() => setAsking(null)}
        >
          <p>Its text becomes the newest version. Runs under way stay on theirs; later runs take it.</p>
        </Confirm>
      )}
      {asking?.act === "delete" && (
        <Confirm
          title={`Delete version ${asking.number}?`}
          yes="Delete it"
          danger
          run={go}
          onClose={() => setAsking(null)}
        >
          <p>Only a version without runs can be deleted.</p>
        </Confirm>
      )}
    </>
  );
}
