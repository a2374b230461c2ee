// Output of workers and models. It is text, whatever it looks like: nothing here reads it as HTML.
import { useMemo, useState } from "react";
import { Button } from "./button";
import { CopyButton } from "./copy";
import { cx } from "./cx";
import { bytes, visible } from "./format";
import css from "./text.module.css";

/** What is shown of a long text at first. */
const FIRST = 64 << 10;
/** A word of this many characters of base64 is not for reading. */
const BLOB = /[A-Za-z0-9+/]{2048,}={0,2}/g;

function folded(text: string): string {
  return text.replace(BLOB, (blob) => `[${bytes(Math.round(blob.length * 0.75))} of base64]`);
}

/** A text, as it is. Long ones are cut, with the rest on request and as a download. */
export function Text({ text, name = "text.txt", prose }: { text: string; name?: string; prose?: boolean }) {
  const [whole, setWhole] = useState(false);
  const cut = !whole && text.length > FIRST;
  const shown = useMemo(() => visible(cut ? folded(text.slice(0, FIRST)) : text), [text, cut]);
  const save = (): void => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  return (
    <div>
      {prose ? (
        <div className={css.prose} dir="auto">
          {shown}
        </div>
      ) : (
        <pre className={css.text} tabIndex={0}>
          {shown}
        </pre>
      )}
      <div className={css.foot}>
        <CopyButton text={text} />
        {cut && (
          <>
            The first {bytes(FIRST)} of {bytes(text.length)}.
            <Button small onClick={() => setWhole(true)}>
              Show all
            </Button>
            <Button small onClick={save}>
              Download
            </Button>
          </>
        )}
      </div>
    </div>
  );
}

/** A value as JSON; a text alone is shown as it is. */
export function Json({ value, name }: { value: unknown; name?: string }) {
  const text = useMemo(() => (typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "")), [value]);
  return <Text text={text} name={name ?? "value.json"} />;
}

/** A share as a bar, with its words for readers of the screen. */
export function Meter({ share, label, tone }: { share: number; label: string; tone?: "good" | "warn" | "bad" }) {
  const width = Math.max(0, Math.min(1, Number.isFinite(share) ? share : 0));
  return (
    <span className={css.bar} role="img" aria-label={label} title={label}>
      <span className={css.fill} data-tone={tone} style={{ width: `${width * 100}%` }} />
    </span>
  );
}

/** A line through values; gaps where nothing was recorded. */
export function Spark({
  values,
  label,
  className,
}: {
  values: readonly (number | null)[];
  label: string;
  className?: string;
}) {
  const path = useMemo(() => {
    const known = values.filter((one): one is number => one !== null);
    const top = Math.max(1e-9, ...known);
    let drawn = "";
    let pen = false;
    values.forEach((value, at) => {
      if (value === null) {
        pen = false;
        return;
      }
      const x = values.length > 1 ? (at / (values.length - 1)) * 100 : 50;
      drawn += `${pen ? "L" : "M"}${x.toFixed(2)} ${(26 - (value / top) * 24).toFixed(2)}`;
      pen = true;
    });
    return drawn;
  }, [values]);
  return (
    <svg
      className={cx(css.spark, className)}
      viewBox="0 0 100 28"
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <path d={path} fill="none" stroke="currentColor" strokeWidth="1.5" vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
