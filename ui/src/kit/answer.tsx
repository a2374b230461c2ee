// The answer of a worker, to be read: its fields with their values, or the JSON as it is.
import { useState } from "react";
import css from "./answer.module.css";
import { CopyButton } from "./copy";
import { count, visible } from "./format";
import { titleOf } from "./schema";
import { Tabs } from "./tabs";
import { Json } from "./text";

/** Characters up to which a list is shown as words beside each other. */
const WORD = 40;
/** Characters above which a text is for the other view, where it is cut. */
const LONG = 8_000;

function isPlain(value: unknown): boolean {
  return value === null || ["string", "number", "boolean"].includes(typeof value);
}

/** Whether an answer can be shown field by field: texts, numbers and lists of them, none too long. */
export function isReadable(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const fields = Object.values(value);
  return (
    fields.length > 0 &&
    fields.every(
      (one) =>
        (isPlain(one) && String(one).length <= LONG) ||
        (Array.isArray(one) && one.length <= 100 && one.every((item) => isPlain(item) && String(item).length <= LONG)),
    )
  );
}

function Value({ value }: { value: unknown }) {
  if (Array.isArray(value)) {
    if (value.length === 0) return <span className="muted">none</span>;
    const short = value.every((one) => String(one).length <= WORD);
    return (
      <ul className={short ? css.list : css.lines}>
        {value.map((one, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: values may be equal, and the list does not change
          <li key={at} dir="auto">
            {visible(String(one))}
          </li>
        ))}
      </ul>
    );
  }
  if (value === null) return <span className="muted">none</span>;
  if (typeof value === "number") return <span className="num">{count(value)}</span>;
  if (typeof value === "boolean") return <>{value ? "yes" : "no"}</>;
  return (
    <div className={css.value} dir="auto">
      {visible(String(value))}
    </div>
  );
}

export function Answer({ value, name }: { value: unknown; name?: string }) {
  const readable = isReadable(value);
  const [mode, setMode] = useState<"read" | "json">("read");
  if (!readable) return <Json value={value} name={name} />;
  return (
    <div className={css.fields}>
      <Tabs
        small
        label="How the answer is shown"
        value={mode}
        onChange={setMode}
        tabs={[
          { id: "read", name: "Read" },
          { id: "json", name: "JSON" },
        ]}
      />
      {mode === "json" ? (
        <Json value={value} name={name} />
      ) : (
        <>
          {Object.entries(value).map(([key, one]) => (
            <div key={key}>
              <div className={css.name}>{visible(titleOf(key, {}))}</div>
              <Value value={one} />
            </div>
          ))}
          <div>
            <CopyButton text={JSON.stringify(value, null, 2)} label="Copy the answer" />
          </div>
        </>
      )}
    </div>
  );
}
