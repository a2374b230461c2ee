import { Ban, Bell, Download, Pause, Play, RotateCcw } from "lucide-react";
import { useState } from "react";
import { api, once, raw, unwrap } from "../../api/client";
import type { Graph, Run } from "../../api/paths";
import { reread } from "../../api/query";
import { useAct } from "../../kit/act";
import { Button, RoleNote } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Confirm } from "../../kit/dialog";
import { TextField } from "../../kit/fields";
import { JsonInput } from "../../kit/schema-form";
import { isEnded } from "../../kit/state";
import { Money } from "../../kit/time";
import { say } from "../../kit/toast";

const PATHS = ["/api/v1/runs/{id}", "/api/v1/runs", "/api/v1/runs/{id}/explain"];

/** Saves the whole run as a file, one object a line. */
async function save(id: string): Promise<void> {
  const answer = await raw("GET", `/api/v1/runs/${id}/export`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = `${id}.ndjson`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function CancelDialog({ run, onClose }: { run: Run; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const go = async (): Promise<void> => {
    await unwrap(
      api.POST("/api/v1/runs/{id}/cancel", { params: { path: { id: run.id } }, body: { reason: reason || undefined } }),
    );
    reread(...PATHS);
  };
  return (
    <Confirm title={`Cancel ${run.id}?`} yes="Cancel the run" danger run={go} onClose={onClose}>
      <p>
        Steps that run are stopped, calls of models in flight within a second. What was spent so far,{" "}
        <Money nano={run.cost_nanousd} />, stays spent. Steps of on_cancel and finally still run.
      </p>
      <TextField
        label="Reason"
        value={reason}
        onChange={setReason}
        help="For people; it stands in the journal"
        max={500}
      />
    </Confirm>
  );
}

function SignalDialog({ run, names, onClose }: { run: Run; names: string[]; onClose: () => void }) {
  const [name, setName] = useState(names[0] ?? "");
  const [payload, setPayload] = useState<unknown>(undefined);
  const go = async (): Promise<void> => {
    const body = { payload: payload ?? null };
    await unwrap(
      api.POST("/api/v1/runs/{id}/signals/{name}", {
        params: { path: { id: run.id, name } },
        body,
        headers: { "idempotency-key": once() },
      }),
    );
    say(`Signal ${name} was sent`);
    reread(...PATHS);
  };
  return (
    <Confirm title="Send a signal" yes="Send" disabled={!name.trim()} run={go} onClose={onClose}>
      <p>A step that waits for a signal of this name goes on with its payload.</p>
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        help={
          names.length > 0
            ? `The workflow waits for: ${names.join(", ")}`
            : "No step of the workflow waits for a signal"
        }
      />
      <JsonInput label="Payload" value={payload} onChange={setPayload} help="As JSON; nothing is null" />
    </Confirm>
  );
}

/** The names of the signals that a graph waits for. */
export function signalsOf(graph: Graph | undefined): string[] {
  return [
    ...new Set(
      graph?.blocks.flatMap((block) => block.steps.flatMap((step) => (step.signal ? [step.signal] : []))) ?? [],
    ),
  ];
}

export function Actions({ run, graph, onRerun }: { run: Run; graph: Graph | undefined; onRerun: () => void }) {
  const { busy, act } = useAct(...PATHS);
  const [dialog, setDialog] = useState<"cancel" | "signal" | null>(null);
  const ended = isEnded(run.state);
  const signals = signalsOf(graph);
  const path = { id: run.id };
  return (
    <>
      <CopyAs
        recipe={{
          method: "GET",
          path: `/api/v1/runs/${run.id}`,
          cli: `runs show ${run.id}`,
          python: `print(client.runs.get("${run.id}"))`,
          typescript: `console.log(await client.runs.get("${run.id}"));`,
        }}
      />
      <Button
        icon={Download}
        busy={busy === "export"}
        hint="The whole run: definition, steps, journal, one object a line"
        onClick={() => void act("export", () => save(run.id))}
      >
        Export
      </Button>
      {!ended && (signals.length > 0 || !graph) && (
        <Button may="submit" icon={Bell} onClick={() => setDialog("signal")}>
          Signal
        </Button>
      )}
      {!ended && !run.paused && (
        <Button
          may="submit"
          icon={Pause}
          busy={busy === "pause"}
          hint="Nothing further begins; steps that run end"
          onClick={() => void act("pause", () => unwrap(api.POST("/api/v1/runs/{id}/pause", { params: { path } })))}
        >
          Pause
        </Button>
      )}
      {!ended && run.paused && (
        <Button
          may="submit"
          kind="primary"
          icon={Play}
          busy={busy === "resume"}
          onClick={() => void act("resume", () => unwrap(api.POST("/api/v1/runs/{id}/resume", { params: { path } })))}
        >
          Resume
        </Button>
      )}
      {!ended && (
        <Button may="submit" kind="danger" icon={Ban} onClick={() => setDialog("cancel")}>
          Cancel
        </Button>
      )}
      {ended && (
        <Button may="submit" kind="primary" icon={RotateCcw} onClick={onRerun}>
          Rerun
        </Button>
      )}
      <RoleNote may="submit" to="change runs" />
      {dialog === "cancel" && <CancelDialog run={run} onClose={() => setDialog(null)} />}
      {dialog === "signal" && <SignalDialog run={run} names={signals} onClose={() => setDialog(null)} />}
    </>
  );
}
