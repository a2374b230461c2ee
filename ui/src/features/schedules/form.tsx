import { useState } from "react";
import { api, unwrap } from "../../api/client";
import type { Schema as Shape } from "../../api/paths";
import { reread, useGet } from "../../api/query";
import { Button } from "../../kit/button";
import { Combobox } from "../../kit/combobox";
import { CopyAs } from "../../kit/copy";
import { Confirm } from "../../kit/dialog";
import { SelectField, TextField } from "../../kit/fields";
import { visible } from "../../kit/format";
import { initial, type Schema } from "../../kit/schema";
import { SchemaForm } from "../../kit/schema-form";
import { Tabs } from "../../kit/tabs";
import { READ } from "./act";
import {
  bodyOf,
  CATCH_UP,
  type CatchUp,
  createRecipe,
  type Draft,
  draftFaults,
  draftOf,
  empty,
  inputFaults,
  OVERLAP,
  type Overlap,
  SAMPLES,
} from "./model";
import css from "./schedules.module.css";

type Schedule = Shape<"Schedule">;
type Target = { name: string; description?: string; inputs?: Schema };

const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")].map((value) => ({
  value,
}));

function ownZone(): string {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return ZONES.some((one) => one.value === zone) ? zone : "UTC";
}

function fields(schema: unknown): Schema | undefined {
  const known = schema as Schema | null | undefined;
  return known && Object.keys(known).length > 0 ? known : undefined;
}

/** The workflows or workers that a schedule may start, with the schemas of their inputs. */
function useTargets(kind: Draft["kind"]): Target[] {
  const flows = useGet("/api/v1/workflows/catalog", undefined, { enabled: kind === "workflow" });
  const workers = useGet("/api/v1/workers", undefined, { enabled: kind === "worker" });
  if (kind === "worker") {
    return (workers.data?.workers ?? []).map((one) => ({
      name: one.name,
      description: one.description,
      inputs: fields(one.input),
    }));
  }
  return (flows.data?.workflows ?? []).map((one) => ({
    name: one.name,
    description: one.description ?? undefined,
    inputs: fields(one.inputs),
  }));
}

function Times({ draft, put, fault }: { draft: Draft; put: (more: Partial<Draft>) => void; fault?: string }) {
  return (
    <>
      <TextField
        label="Times"
        help="Minute, hour, day, month, weekday, with seconds in front if need be; @daily and the like; or a span such as 15m"
        needed
        code
        fault={fault}
        value={draft.cron}
        onChange={(cron) => put({ cron })}
      />
      <div className={css.samples} role="group" aria-label="Common times">
        {SAMPLES.map((one) => (
          <Button key={one.cron} small pressed={draft.cron === one.cron} onClick={() => put({ cron: one.cron })}>
            {one.name}
          </Button>
        ))}
      </div>
      <Combobox
        label="Time zone"
        help="The clock that the times are read on; it follows daylight saving time."
        options={ZONES}
        value={draft.timezone}
        onChange={(timezone) => put({ timezone })}
      />
    </>
  );
}

function Starts(props: {
  draft: Draft;
  put: (more: Partial<Draft>) => void;
  targets: Target[];
  faults: Record<string, string>;
  fault?: string;
}) {
  const { draft, put, targets } = props;
  const target = targets.find((one) => one.name === draft.target);
  const schema = target?.inputs;
  const none = schema !== undefined && Object.keys(schema.properties ?? {}).length === 0;
  return (
    <>
      <div>
        <Tabs
          small
          label="What it starts"
          value={draft.kind}
          onChange={(kind) => put({ kind, target: "", with: {} })}
          tabs={[
            { id: "workflow", name: "Runs of a workflow" },
            { id: "worker", name: "Tasks of a worker" },
          ]}
        />
      </div>
      <Combobox
        key={draft.kind}
        label={draft.kind === "workflow" ? "Workflow" : "Worker"}
        help={target?.description && visible(target.description)}
        options={targets.map((one) => ({ value: one.name, note: one.description }))}
        value={draft.target}
        onChange={(name) =>
          put({ target: name, with: initial(targets.find((one) => one.name === name)?.inputs ?? {}) })
        }
      />
      {props.fault && <div className={css.fault}>{props.fault}</div>}
      {draft.target && none && <p className="muted">It has no inputs.</p>}
      {draft.target && !none && (
        <>
          <SchemaForm
            key={`${draft.kind} ${draft.target} ${schema !== undefined}`}
            schema={schema}
            value={draft.with}
            onChange={(value) => put({ with: value })}
            faults={props.faults}
          />
          <p className="muted">
            Inputs may hold <code>{"${{ fire.date }}"}</code>, <code>{"${{ fire.scheduled }}"}</code>,{" "}
            <code>{"${{ fire.time }}"}</code> and <code>{"${{ fire.schedule }}"}</code>.
          </p>
        </>
      )}
    </>
  );
}

/** Makes a schedule, or changes one. */
export function ScheduleForm(props: { change?: Schedule; onClose: () => void; onDone: (name: string) => void }) {
  const { change } = props;
  const [draft, setDraft] = useState<Draft>(() => (change ? draftOf(change) : empty(ownZone())));
  const put = (more: Partial<Draft>): void => setDraft((was) => ({ ...was, ...more }));
  const targets = useTargets(draft.kind);
  const schema = targets.find((one) => one.name === draft.target)?.inputs;
  const wrong = draftFaults(draft);
  const inputs = inputFaults(schema, draft.with);
  const body = bodyOf(draft, change !== undefined);
  const valid = Object.keys(wrong).length === 0 && Object.keys(inputs).length === 0;
  return (
    <Confirm
      title={change ? `Change ${visible(change.name)}` : "Make a schedule"}
      yes={change ? "Save" : "Make it"}
      disabled={!valid}
      run={async () => {
        const made = await unwrap(api.POST("/api/v1/schedules", { body: body as never }));
        reread(...READ);
        props.onDone(made.name);
      }}
      onClose={props.onClose}
    >
      <div className={css.form}>
        {!change && <TextField label="Name" needed value={draft.name} onChange={(name) => put({ name })} />}
        <Times draft={draft} put={put} fault={wrong.cron} />
        <Starts draft={draft} put={put} targets={targets} faults={inputs} />
        <SelectField
          label="Times that pass while no server runs"
          value={draft.catch_up}
          choices={CATCH_UP.map((one) => ({ value: one.id, label: `${one.name} (${one.id})` }))}
          onChange={(catch_up) => put({ catch_up: catch_up as CatchUp })}
        />
        <SelectField
          label="A time that comes while an earlier one is open"
          value={draft.overlap}
          choices={OVERLAP.map((one) => ({ value: one.id, label: `${one.name} (${one.id})` }))}
          onChange={(overlap) => put({ overlap: overlap as Overlap })}
        />
        <TextField
          label="Random delay, at most"
          help="Seconds; it keeps many schedules of one time from starting together. Empty: none"
          type="number"
          fault={wrong.jitter}
          value={draft.jitter}
          onChange={(jitter) => put({ jitter })}
        />
        <div>
          <CopyAs recipe={createRecipe(body)} />
        </div>
      </div>
    </Confirm>
  );
}
