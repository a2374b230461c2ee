import { useNavigate } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { api, once, unwrap } from "../../api/client";
import type { JsonSchema } from "../../api/paths";
import { Confirm } from "../../kit/dialog";
import { SelectField } from "../../kit/fields";
import { faults, initial, type Schema } from "../../kit/schema";
import { SchemaForm } from "../../kit/schema-form";

const STRATEGIES = [
  { value: "", label: "as the workflow says" },
  { value: "parallel", label: "parallel" },
  { value: "sequential", label: "sequential" },
  { value: "priority", label: "priority" },
];

/** Starts a run of a workflow: its inputs as a form, and the order of its steps. */
export function StartRun(props: {
  name: string;
  version?: number;
  inputs: JsonSchema | undefined;
  onClose: () => void;
}) {
  const navigate = useNavigate();
  const key = useRef(once());
  const schema = props.inputs as Schema | undefined;
  const [value, setValue] = useState<unknown>(() => (schema ? initial(schema) : {}));
  const [strategy, setStrategy] = useState("");
  const found = schema ? faults(schema, value) : {};
  const run = async (): Promise<void> => {
    const body = {
      workflow: props.name,
      inputs: value ?? {},
      ...(props.version ? { version: props.version } : {}),
      ...(strategy ? { strategy } : {}),
    };
    const started = await unwrap(api.POST("/api/v1/runs", { body, headers: { "idempotency-key": key.current } }));
    void navigate({ to: "/runs/$run", params: { run: started.id } });
  };
  return (
    <Confirm
      title={`Start ${props.name}`}
      yes="Start the run"
      disabled={Object.keys(found).length > 0}
      run={run}
      onClose={props.onClose}
    >
      {schema && Object.keys(schema.properties ?? {}).length === 0 ? (
        <p>This workflow has no inputs.</p>
      ) : (
        <SchemaForm schema={schema} value={value} onChange={setValue} faults={found} />
      )}
      <SelectField label="Order of the steps" value={strategy} choices={STRATEGIES} onChange={setStrategy} />
    </Confirm>
  );
}
