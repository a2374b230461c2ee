// A form made from the JSON Schema of a worker or a workflow.
import { useEffect, useState } from "react";
import { raw } from "../api/client";
import { CheckField, FileDrop, SelectField, TextField } from "./fields";
import css from "./fields.module.css";
import { bytes } from "./format";
import { ErrorBox } from "./said";
import { controlOf, resolve, type Schema, titleOf } from "./schema";
import { Tabs } from "./tabs";

export type Stored = { $file: string; name: string; media_type: string; size: number };

/** Uploads a file and returns the reference that inputs hold. */
export async function upload(file: File): Promise<Stored> {
  const answer = await raw("POST", `/api/v1/artifacts?name=${encodeURIComponent(file.name)}`, {
    body: file,
    headers: { "content-type": file.type || "application/octet-stream" },
  });
  return (await answer.json()) as Stored;
}

type Props = {
  name: string;
  schema: Schema;
  root: Schema;
  needed: boolean;
  value: unknown;
  path: string;
  faults: Record<string, string>;
  onChange: (value: unknown) => void;
};

function NumberInput(props: Props & { label: string; help?: string }) {
  const [text, setText] = useState(props.value === undefined ? "" : String(props.value));
  return (
    <TextField
      label={props.label}
      help={props.help}
      needed={props.needed}
      fault={props.faults[props.path]}
      type="number"
      value={text}
      onChange={(typed) => {
        setText(typed);
        props.onChange(typed.trim() === "" ? undefined : Number(typed));
      }}
    />
  );
}

/** A value as JSON text. While it is not JSON, the field says so and the value stays as it was. */
export function JsonInput(props: {
  label: string;
  help?: string;
  needed?: boolean;
  value: unknown;
  onChange: (value: unknown) => void;
  rows?: number;
}) {
  const [text, setText] = useState(() => (props.value === undefined ? "" : JSON.stringify(props.value, null, 2)));
  const [fault, setFault] = useState<string | null>(null);
  return (
    <TextField
      label={props.label}
      help={props.help ?? "As JSON"}
      needed={props.needed}
      fault={fault}
      code
      rows={props.rows ?? 4}
      value={text}
      onChange={(typed) => {
        setText(typed);
        try {
          props.onChange(typed.trim() === "" ? undefined : JSON.parse(typed));
          setFault(null);
        } catch (error) {
          setFault(error instanceof Error ? error.message : "This is not JSON.");
        }
      }}
    />
  );
}

function FileInput(props: Props & { label: string; help?: string }) {
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const stored = props.value as Stored | undefined;
  const take = async (file: File): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      props.onChange(await upload(file));
    } catch (refused) {
      setError(refused);
    }
    setBusy(false);
  };
  return (
    <div className={css.field}>
      <span className={css.label}>{props.label}</span>
      <FileDrop label={busy ? "Uploading" : "Choose a file, or drop it here"} onFile={(file) => void take(file)}>
        {stored && (
          <span>
            {stored.name} ({bytes(stored.size)})
          </span>
        )}
      </FileDrop>
      {props.faults[props.path] && <div className={css.fault}>{props.faults[props.path]}</div>}
      {props.help && <div className={css.help}>{props.help}</div>}
      {error != null && <ErrorBox error={error} />}
    </div>
  );
}

function Property(props: Props) {
  const { name, value, onChange, needed } = props;
  const schema = resolve(props.schema, props.root);
  const label = titleOf(name, schema);
  const help = schema.description;
  const fault = props.faults[props.path];
  const text = value === undefined || value === null ? "" : String(value);
  switch (controlOf(name, schema)) {
    case "area":
      return (
        <TextField
          label={label}
          help={help}
          needed={needed}
          fault={fault}
          rows={7}
          value={text}
          onChange={(typed) => onChange(typed === "" ? undefined : typed)}
        />
      );
    case "text":
      return (
        <TextField
          label={label}
          help={help}
          needed={needed}
          fault={fault}
          value={text}
          onChange={(typed) => onChange(typed === "" ? undefined : typed)}
        />
      );
    case "number":
      return <NumberInput {...props} label={label} help={help} />;
    case "check":
      return <CheckField label={help ? `${label}: ${help}` : label} value={value === true} onChange={onChange} />;
    case "choice": {
      const all = schema.enum ?? [];
      const choices = all.map((one) => ({ value: JSON.stringify(one), label: String(one) }));
      const none = needed ? [] : [{ value: "", label: "–" }];
      return (
        <SelectField
          label={label}
          help={help}
          needed={needed}
          fault={fault}
          value={value === undefined ? "" : JSON.stringify(value)}
          choices={[...none, ...choices]}
          onChange={(chosen) => onChange(chosen === "" ? undefined : JSON.parse(chosen))}
        />
      );
    }
    case "lines":
      return (
        <TextField
          label={label}
          help={help ? `${help}. One a line.` : "One a line"}
          needed={needed}
          fault={fault}
          rows={4}
          value={Array.isArray(value) ? value.join("\n") : ""}
          onChange={(typed) => onChange(typed === "" ? undefined : typed.split("\n"))}
        />
      );
    case "file":
      return <FileInput {...props} label={label} help={help} />;
    case "group":
      return (
        <fieldset className={css.set}>
          <legend>{label}</legend>
          {help && <div className={css.help}>{help}</div>}
          <Properties
            schema={schema}
            root={props.root}
            value={value}
            path={props.path}
            faults={props.faults}
            onChange={onChange}
          />
        </fieldset>
      );
    default:
      return <JsonInput label={label} help={help} needed={needed} value={value} onChange={onChange} />;
  }
}

function Properties(props: {
  schema: Schema;
  root: Schema;
  value: unknown;
  path: string;
  faults: Record<string, string>;
  onChange: (value: unknown) => void;
}) {
  const fields = (props.value ?? {}) as Record<string, unknown>;
  return (
    <>
      {Object.entries(props.schema.properties ?? {}).map(([name, schema]) => (
        <Property
          key={name}
          name={name}
          schema={schema}
          root={props.root}
          needed={props.schema.required?.includes(name) ?? false}
          value={fields[name]}
          path={props.path ? `${props.path}.${name}` : name}
          faults={props.faults}
          onChange={(value) => {
            const next = { ...fields };
            if (value === undefined) delete next[name];
            else next[name] = value;
            props.onChange(next);
          }}
        />
      ))}
    </>
  );
}

/** The form of a schema, with a switch to plain JSON. Without a schema there is JSON alone. */
export function SchemaForm(props: {
  schema: Schema | undefined;
  value: unknown;
  onChange: (value: unknown) => void;
  faults?: Record<string, string>;
}) {
  const root = props.schema ?? {};
  const shown = resolve(root, root);
  const has = Object.keys(shown.properties ?? {}).length > 0;
  const [mode, setMode] = useState<"form" | "json">(has ? "form" : "json");
  useEffect(() => {
    if (!has) setMode("json");
  }, [has]);
  return (
    <div className={css.form}>
      {has && (
        <div>
          <Tabs
            small
            label="How the input is given"
            value={mode}
            onChange={setMode}
            tabs={[
              { id: "form", name: "Form" },
              { id: "json", name: "JSON" },
            ]}
          />
        </div>
      )}
      {mode === "form" ? (
        <Properties
          schema={shown}
          root={root}
          value={props.value}
          path=""
          faults={props.faults ?? {}}
          onChange={props.onChange}
        />
      ) : (
        <JsonInput
          label="Input"
          value={props.value}
          onChange={props.onChange}
          rows={12}
          help={shown.description ?? (has ? "As JSON" : "As JSON: this worker names no schema for its input")}
        />
      )}
    </div>
  );
}
