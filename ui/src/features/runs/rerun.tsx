import { useNavigate } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { api, once, unwrap } from "../../api/client";
import type { Run } from "../../api/paths";
import { Confirm } from "../../kit/dialog";
import { CheckField, SelectField } from "../../kit/fields";
import { count, many } from "../../kit/format";
import { Notice } from "../../kit/said";
import { Money } from "../../kit/time";
import type { Node } from "./model/tree";

/** The steps that depend on one, itself included, by their places among the outermost steps. */
export function dependents(nodes: readonly Node[], from: string): Set<string> {
  const found = new Set([from]);
  const byIndex = new Map(nodes.flatMap((node) => (node.graph ? [[node.graph.index, node.path] as const] : [])));
  for (let more = true; more; ) {
    more = false;
    for (const node of nodes) {
      if (found.has(node.path) || !node.graph) continue;
      if (node.graph.needs.some((need) => found.has(byIndex.get(need) ?? ""))) {
        found.add(node.path);
        more = true;
      }
    }
  }
  return found;
}

/** Runs a run again: what did not succeed, or one step with all that depend on it, anew or from the recording. */
export function Rerun({
  run,
  nodes,
  from,
  onClose,
}: {
  run: Run;
  nodes: readonly Node[];
  from: string;
  onClose: () => void;
}) {
  const navigate = useNavigate();
  const key = useRef(once());
  const [step, setStep] = useState(from);
  const [recorded, setRecorded] = useState(false);
  const steps = nodes.filter((node) => node.kind === "step" && node.graph?.is_handler !== true);
  const again = step
    ? dependents(steps, step)
    : new Set(steps.filter((node) => node.state !== "succeeded").map((node) => node.path));
  const repeated = steps.filter((node) => again.has(node.path));
  const reused = steps.filter((node) => !again.has(node.path) && node.state === "succeeded");
  const cost = (all: readonly Node[]): number => all.reduce((sum, node) => sum + node.cost, 0);
  const go = async (): Promise<void> => {
    const body = { ...(step ? { from: step } : {}), recorded };
    const started = await unwrap(
      api.POST("/api/v1/runs/{id}/rerun", {
        params: { path: { id: run.id } },
        body,
        headers: { "idempotency-key": key.current },
      }),
    );
    void navigate({ to: "/runs/$run", params: { run: started.id } });
  };
  const choices = [
    { value: "", label: "what did not succeed" },
    ...steps.map((node) => ({ value: node.path, label: `${node.path}, and what depends on it` })),
  ];
  return (
    <Confirm
      title={`Rerun ${run.workflow}`}
      yes="Start the rerun"
      disabled={repeated.length === 0}
      run={go}
      onClose={onClose}
    >
      <SelectField label="Run again" value={step} onChange={setStep} choices={choices} />
      <CheckField
        label="Answer model calls from the recording of this run: no provider is asked, nothing is paid"
        value={recorded}
        onChange={setRecorded}
      />
      {repeated.length === 0 ? (
        <Notice tone="warn">Every step succeeded: choose the step from which the run is repeated.</Notice>
      ) : (
        <Notice tone="info">
          {many(repeated.length, "step")} {repeated.length === 1 ? "runs" : "run"} again
          {repeated.length > 0 && repeated.length <= 6 && ` (${repeated.map((node) => node.name).join(", ")})`};{" "}
          {count(reused.length)} {reused.length === 1 ? "result is" : "results are"} used again. This time they cost{" "}
          <Money nano={recorded ? 0 : cost(repeated)} />
          {recorded ? ", because everything is recorded" : " if they cost what they did"}; what is used again saves{" "}
          <Money nano={cost(reused)} />.
        </Notice>
      )}
    </Confirm>
  );
}
