import { Search } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { cx } from "./cx";
import css from "./fields.module.css";

type Around = { label: string; help?: ReactNode; fault?: string | null; needed?: boolean };

/** A label above a control, with help and a fault below it. */
export function Field(
  props: Around & {
    children: (ids: { id: string; "aria-describedby"?: string; "aria-invalid"?: boolean }) => ReactNode;
  },
) {
  const id = useId();
  const about = props.help || props.fault ? `${id}-about` : undefined;
  return (
    <div className={css.field}>
      <label className={css.label} htmlFor={id}>
        {props.label}
        {props.needed && <span className={css.needed}> (needed)</span>}
      </label>
      {props.children({ id, "aria-describedby": about, "aria-invalid": props.fault ? true : undefined })}
      {about && (
        <div id={about}>
          {props.fault && <div className={css.fault}>{props.fault}</div>}
          {props.help && <div className={css.help}>{props.help}</div>}
        </div>
      )}
    </div>
  );
}

type TextProps = Around & {
  value: string;
  onChange: (value: string) => void;
  /** Lines: 1 is an input, more a text area. */
  rows?: number;
  code?: boolean;
  placeholder?: string;
  type?: "text" | "password" | "number";
  autoFocus?: boolean;
  max?: number;
};

export function TextField(props: TextProps) {
  const { value, onChange, rows = 1, placeholder } = props;
  return (
    <Field {...props}>
      {(ids) =>
        rows > 1 ? (
          <textarea
            {...ids}
            className={cx(css.input, css.area, rows > 6 && css.tall, props.code && css.code)}
            rows={rows}
            value={value}
            placeholder={placeholder}
            spellCheck={!props.code}
            onChange={(event) => onChange(event.target.value)}
          />
        ) : (
          <input
            {...ids}
            className={cx(css.input, props.code && css.code)}
            type={props.type === "number" ? "text" : (props.type ?? "text")}
            inputMode={props.type === "number" ? "decimal" : undefined}
            value={value}
            placeholder={placeholder}
            autoComplete="off"
            maxLength={props.max}
            onChange={(event) => onChange(event.target.value)}
          />
        )
      }
    </Field>
  );
}

export type Choice = { value: string; label?: string };

export function SelectField(
  props: Around & { value: string; onChange: (value: string) => void; choices: readonly Choice[] },
) {
  return (
    <Field {...props}>
      {(ids) => (
        <select
          {...ids}
          className={css.input}
          value={props.value}
          onChange={(event) => props.onChange(event.target.value)}
        >
          {props.choices.map((one) => (
            <option key={one.value} value={one.value}>
              {one.label ?? one.value}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** A select in a toolbar, its label beside it. */
export function Pick(props: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  choices: readonly Choice[];
}) {
  return (
    <label className={css.inline}>
      {props.label}
      <select
        className={cx(css.input, css.select)}
        value={props.value}
        onChange={(event) => props.onChange(event.target.value)}
      >
        {props.choices.map((one) => (
          <option key={one.value} value={one.value}>
            {one.label ?? one.value}
          </option>
        ))}
      </select>
    </label>
  );
}

export function CheckField(props: {
  label: ReactNode;
  value: boolean;
  onChange: (value: boolean) => void;
  disabled?: boolean;
}) {
  return (
    <label className={css.check}>
      <input
        type="checkbox"
        checked={props.value}
        disabled={props.disabled}
        onChange={(event) => props.onChange(event.target.checked)}
      />
      {props.label}
    </label>
  );
}

/** A search in a toolbar. What is typed is told on after a short rest. */
export function SearchField(props: { label: string; value: string; onChange: (value: string) => void }) {
  const [text, setText] = useState(props.value);
  const told = useRef(props.value);
  useEffect(() => {
    if (props.value !== told.current) {
      told.current = props.value;
      setText(props.value);
    }
  }, [props.value]);
  const { onChange } = props;
  useEffect(() => {
    if (text === told.current) return;
    const timer = setTimeout(() => {
      told.current = text;
      onChange(text);
    }, 250);
    return () => clearTimeout(timer);
  }, [text, onChange]);
  return (
    <span className={css.search}>
      <Search aria-hidden />
      <input
        className={css.input}
        type="text"
        role="searchbox"
        aria-label={props.label}
        placeholder={props.label}
        value={text}
        autoComplete="off"
        onChange={(event) => setText(event.target.value)}
      />
    </span>
  );
}

/** A place for a file: to choose one, or to drop one. */
export function FileDrop(props: {
  label: string;
  onFile: (file: File) => void;
  children?: ReactNode;
  accept?: string;
}) {
  const [over, setOver] = useState(false);
  return (
    <label
      className={css.drop}
      data-over={over ? "" : undefined}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        const file = event.dataTransfer.files[0];
        if (file) props.onFile(file);
      }}
    >
      <span>{props.label}</span>
      <input
        type="file"
        accept={props.accept}
        onChange={(event) => {
          const file = event.target.files?.[0];
          if (file) props.onFile(file);
        }}
      />
      {props.children}
    </label>
  );
}
