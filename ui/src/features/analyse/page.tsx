import { Link } from "@tanstack/react-router";
import { BookmarkPlus, Layers, Play, RotateCcw } from "lucide-react";
import { useCallback, useMemo, useState } from "react";
import { api, once, unwrap } from "../../api/client";
import type { Run } from "../../api/paths";
import { read, useGet } from "../../api/query";
import { useFilters } from "../../app/use-filters";
import { useAct } from "../../kit/act";
import { Button, RoleNote } from "../../kit/button";
import { CopyAs, CopyButton } from "../../kit/copy";
import { Confirm } from "../../kit/dialog";
import { CheckField, FileDrop, TextField } from "../../kit/fields";
import { bytes, duration, many, money, visible } from "../../kit/format";
import { Card, Page as Frame, Grow, Toolbar } from "../../kit/page";
import { Report } from "../../kit/report";
import { Empty, Loaded, Notice } from "../../kit/said";
import { faults, initial } from "../../kit/schema";
import { SchemaForm, type Stored, upload } from "../../kit/schema-form";
import { isEnded } from "../../kit/state";
import { Tabs } from "../../kit/tabs";
import { textOf } from "../runs/texts";
import css from "./analyse.module.css";
import { Board } from "./board";
import { type Candidate, type Choice, candidates, compare, definition, title } from "./plan";

const MODES = [
  { id: "parallel", name: "In parallel" },
  { id: "sequential", name: "In sequence" },
  { id: "both", name: "Both, compared" },
] as const;
type Mode = (typeof MODES)[number]["id"];

const SAMPLE =
  "The reading room of the Tarn Valley library reopened in March after eleven weeks of repairs. Visitors praise the new lamps and the longer hours, while the heating still fails on cold mornings. The board plans to replace the boiler before winter, at a cost of 48,000 euros, and asks the town for half of it.";

type Given = { kind: "text" | "file"; text: string; file: Stored | null };

function Source({ given, onGive }: { given: Given; onGive: (given: Given) => void }) {
  const { busy, act } = useAct();
  return (
    <Card
      title="What is analysed"
      actions={
        <Tabs
          small
          label="Kind of source"
          value={given.kind}
          onChange={(kind) => onGive({ ...given, kind })}
          tabs={[
            { id: "text", name: "Text" },
            { id: "file", name: "File" },
          ]}
        />
      }
    >
      {given.kind === "text" ? (
        <>
          <TextField
            label="Text"
            rows={10}
            value={given.text}
            onChange={(text) => onGive({ ...given, text })}
            placeholder="Paste a text"
          />
          {!given.text && (
            <div>
              <Button small onClick={() => onGive({ ...given, text: SAMPLE })}>
                Take a sample text
              </Button>
            </div>
          )}
        </>
      ) : (
        <FileDrop
          label={busy ? "Uploading" : "A text, PDF, Word or HTML file, up to 64 MiB"}
          onFile={(file) => void act("upload", async () => onGive({ ...given, file: await upload(file) }))}
        >
          {given.file && (
            <strong>
              {visible(given.file.name)} ({bytes(given.file.size)})
            </strong>
          )}
        </FileDrop>
      )}
    </Card>
  );
}

type Ticked = Record<string, Record<string, unknown>>;

function WorkerLine({
  one,
  ticked,
  onTick,
}: {
  one: Candidate;
  ticked: Record<string, unknown> | undefined;
  onTick: (options: Record<string, unknown> | null) => void;
}) {
  const has = Object.keys(one.extra.properties ?? {}).length > 0;
  return (
    <div className={css.worker}>
      <CheckField
        label={<strong>{visible(title(one.name))}</strong>}
        value={ticked !== undefined}
        onChange={(on) => onTick(on ? defaults(one) : null)}
      />
      {one.description && <div className={css.about}>{visible(one.description)}</div>}
      {ticked && has && (
        <details className={css.options} open={one.needs.length > 0}>
          <summary>Options</summary>
          <SchemaForm
            schema={one.extra}
            value={ticked}
            onChange={(value) => onTick((value ?? {}) as Record<string, unknown>)}
            faults={faults(one.extra, ticked)}
          />
        </details>
      )}
    </div>
  );
}

function defaults(one: Candidate): Record<string, unknown> {
  const first = initial(one.extra);
  if (one.needs.includes("language")) first.language ??= "German";
  return Object.fromEntries(Object.entries(first).filter(([name]) => one.needs.includes(name)));
}

function Both({ runs }: { runs: Partial<Record<"parallel" | "sequential", Run>> }) {
  const { parallel, sequential } = runs;
  const of = (run: Run | undefined) =>
    run
      ? { took: run.ended_at ? Date.parse(run.ended_at) - Date.parse(run.created_at) : null, cost: run.cost_nanousd }
      : null;
  const said = compare(of(parallel), of(sequential), { time: duration, money });
  const longest = Math.max(of(parallel)?.took ?? 1, of(sequential)?.took ?? 1, 1);
  return (
    <Card title="Both ways compared">
      <div className={css.bars}>
        {(["parallel", "sequential"] as const).map((way) => {
          const one = of(runs[way]);
          return [
            <span key={`${way} name`}>{way === "parallel" ? "In parallel" : "In sequence"}</span>,
            <span key={`${way} bar`}>
              <span
                className={css.track}
                style={{ display: "block", width: `${((one?.took ?? 0) / longest) * 100}%` }}
              />
            </span>,
            <span key={`${way} time`} className="num">
              {one?.took == null ? "runs" : duration(one.took)}
            </span>,
            <span key={`${way} cost`} className="num">
              {one ? money(one.cost) : "–"}
            </span>,
          ];
        })}
      </div>
      {said && <p>{said}</p>}
    </Card>
  );
}

function Save({ source, onClose }: { source: (name: string) => string; onClose: () => void }) {
  const [name, setName] = useState("my-analysis");
  const { act } = useAct("/api/v1/workflows/catalog", "/api/v1/workflows");
  return (
    <Confirm
      title="Save as a workflow"
      yes="Publish"
      disabled={!/^[a-z0-9][a-z0-9_-]*$/i.test(name)}
      run={() =>
        unwrap(api.POST("/api/v1/workflows", { body: { source: source(name), file: `${name}.yaml` } })).then(() =>
          act("", async () => undefined, `Published: kapelle run ${name}`),
        )
      }
      onClose={onClose}
    >
      <TextField label="Name" value={name} onChange={setName} help="Letters, digits, - and _" max={60} />
      <pre className="mono">{source(name)}</pre>
    </Confirm>
  );
}

/** Waits for the end of a run. */
async function ending(id: string): Promise<void> {
  for (;;) {
    const run = await read("/api/v1/runs/{id}", { params: { path: { id }, query: { wait_ms: 30_000 } } });
    if (isEnded(run.state)) return;
  }
}

export function Page() {
  const [search, set] = useFilters();
  const workers = useGet("/api/v1/workers");
  const { busy, act } = useAct("/api/v1/runs");
  const [given, setGiven] = useState<Given>({ kind: "text", text: "", file: null });
  const [ticked, setTicked] = useState<Ticked | null>(null);
  const [mode, setMode] = useState<Mode>("parallel");
  const [saving, setSaving] = useState(false);
  const [ended, setEnded] = useState<Record<string, Run>>({});
  const found = useMemo(() => candidates(workers.data?.workers ?? []), [workers.data]);
  const shown =
    ticked ?? Object.fromEntries(found.filter((one) => one.needs.length === 0).map((one) => [one.name, defaults(one)]));
  const choices: Choice[] = found.flatMap((one) =>
    shown[one.name] ? [{ worker: one.name, options: shown[one.name] ?? {} }] : [],
  );
  const faulty = found.some((one) => shown[one.name] && Object.keys(faults(one.extra, shown[one.name])).length > 0);
  const isFile = given.kind === "file";
  const ready = (isFile ? given.file !== null : given.text.trim() !== "") && choices.length > 0 && !faulty;
  const source = (name: string): string => definition(name, choices, isFile);
  const inputs = isFile ? { document: given.file } : { text: given.text };
  const note = useCallback(
    (run: Run) =>
      setEnded((was) =>
        was[run.id]?.seq === run.seq && was[run.id]?.cost_nanousd === run.cost_nanousd
          ? was
          : { ...was, [run.id]: run },
      ),
    [],
  );

  const start = async (): Promise<void> => {
    const begin = (strategy: string): Promise<{ id: string }> =>
      unwrap(
        api.POST("/api/v1/runs", {
          body: { source: source("analysis"), inputs, strategy },
          headers: { "idempotency-key": once() },
        }),
      );
    const parallel = mode === "sequential" ? null : await begin("parallel");
    if (parallel) set({ parallel: parallel.id, sequence: "" });
    // One after the other, so that neither takes slots from the other.
    if (parallel && mode === "both") await ending(parallel.id);
    const sequence = mode === "parallel" ? null : await begin("sequential");
    set({ parallel: parallel?.id ?? "", sequence: sequence?.id ?? "" });
  };
  const runs = { parallel: ended[search.parallel ?? ""], sequential: ended[search.sequence ?? ""] };
  const report = textOf(runs.parallel?.outputs) ?? textOf(runs.sequential?.outputs);
  const begun = search.parallel || search.sequence;
  return (
    <Frame
      title="Analyse"
      sub="Several workers over one text, side by side or one after the other, and one report."
      actions={
        <>
          <CopyAs
            recipe={{
              method: "POST",
              path: "/api/v1/runs",
              body: { source: source("analysis"), inputs, strategy: mode === "sequential" ? "sequential" : "parallel" },
              cli: "run workflows/complete-analysis.yaml --input document=@your-file.pdf",
            }}
          />
          <Button may="submit" icon={BookmarkPlus} disabled={choices.length === 0} onClick={() => setSaving(true)}>
            Save as workflow
          </Button>
        </>
      }
    >
      <div className={css.setup}>
        <div className={css.left}>
          <Source given={given} onGive={setGiven} />
          <Card flush>
            <div className={css.foot}>
              <Tabs small label="Order" tabs={MODES} value={mode} onChange={setMode} />
              <Grow />
              <Button
                may="submit"
                kind="primary"
                icon={begun ? RotateCcw : Play}
                disabled={!ready}
                busy={busy === "start"}
                onClick={() => void act("start", start)}
              >
                {begun ? "Analyse again" : "Analyse"}
              </Button>
              <RoleNote may="submit" to="start runs" />
            </div>
          </Card>
        </div>
        <Card
          title="Workers"
          flush
          actions={
            <span className="muted">
              {choices.length} of {found.length} ticked
            </span>
          }
        >
          <Loaded of={workers} what="The workers">
            {() =>
              found.length === 0 ? (
                <Empty icon={Layers} title="No worker takes a text">
                  A worker whose input schema has a property `text` can be ticked here.
                </Empty>
              ) : (
                <div className={css.workers}>
                  {found.map((one) => (
                    <WorkerLine
                      key={one.name}
                      one={one}
                      ticked={shown[one.name]}
                      onTick={(options) => {
                        const { [one.name]: _, ...rest } = shown;
                        setTicked(options ? { ...rest, [one.name]: options } : rest);
                      }}
                    />
                  ))}
                </div>
              )
            }
          </Loaded>
        </Card>
      </div>
      {busy === "start" && mode === "both" && (
        <Notice tone="info">
          The parallel run goes first, then the sequence, so that neither takes slots from the other.
        </Notice>
      )}
      {search.parallel && search.sequence && <Both runs={runs} />}
      <div className={css.ways}>
        {search.parallel && <Board key={search.parallel} id={search.parallel} name="In parallel" onEnd={note} />}
        {search.sequence && <Board key={search.sequence} id={search.sequence} name="In sequence" onEnd={note} />}
      </div>
      {report && (
        <Card title="Report" actions={<CopyButton text={report} label="Copy the report" />}>
          <Report text={report} />
        </Card>
      )}
      {!begun && (
        <Toolbar>
          <span className="muted">
            {many(choices.length, "worker")} ticked. Without a key for a model, classical methods answer and are marked
            degraded. A finished example: <Link to="/runs">the runs</Link>.
          </span>
        </Toolbar>
      )}
      {saving && <Save source={source} onClose={() => setSaving(false)} />}
    </Frame>
  );
}
