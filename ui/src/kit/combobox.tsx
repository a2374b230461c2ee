import { type KeyboardEvent, useId, useMemo, useRef, useState } from "react";
import css from "./combobox.module.css";
import { Field } from "./fields";
import fields from "./fields.module.css";

export type Option = { value: string; label?: string; note?: string };

/** Options whose words begin with, or hold, what was typed; better ones first. */
export function matching(options: readonly Option[], typed: string): Option[] {
  const wanted = typed.trim().toLowerCase();
  if (!wanted) return [...options];
  const score = (one: Option): number => {
    const name = (one.label ?? one.value).toLowerCase();
    if (name === wanted) return 0;
    if (name.startsWith(wanted)) return 1;
    if (name.includes(wanted)) return 2;
    return one.note?.toLowerCase().includes(wanted) ? 3 : 9;
  };
  return options
    .map((one) => ({ one, score: score(one) }))
    .filter(({ score }) => score < 9)
    .sort((a, b) => a.score - b.score)
    .map(({ one }) => one);
}

/** An input with a list of options to choose from by typing. */
export function Combobox(props: {
  label: string;
  help?: string;
  options: readonly Option[];
  value: string;
  onChange: (value: string) => void;
  placeholder?: string;
}) {
  const { options, value, onChange } = props;
  const list = useId();
  const box = useRef<HTMLDivElement>(null);
  const [typed, setTyped] = useState<string | null>(null);
  const [at, setAt] = useState(0);
  const open = typed !== null;
  const found = useMemo(() => matching(options, typed ?? ""), [options, typed]);
  const shown = found.slice(0, 100);
  const label = options.find((one) => one.value === value)?.label ?? value;

  const choose = (one: Option | undefined): void => {
    if (one) onChange(one.value);
    setTyped(null);
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) {
        setTyped("");
        setAt(0);
        return;
      }
      const next = Math.max(0, Math.min(shown.length - 1, at + (event.key === "ArrowDown" ? 1 : -1)));
      setAt(next);
      box.current?.querySelectorAll("[role=option]")[next]?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" && open) {
      event.preventDefault();
      choose(shown[at]);
    } else if (event.key === "Escape" && open) {
      event.stopPropagation();
      setTyped(null);
    }
  };
  return (
    <Field label={props.label} help={props.help}>
      {(ids) => (
        <div className={css.wrap} ref={box}>
          <input
            {...ids}
            className={fields.input}
            role="combobox"
            aria-expanded={open}
            aria-controls={list}
            aria-autocomplete="list"
            aria-activedescendant={open && shown[at] ? `${list}-${at}` : undefined}
            autoComplete="off"
            placeholder={props.placeholder}
            value={typed ?? label}
            onFocus={(event) => event.target.select()}
            onClick={() => setTyped((was) => was ?? "")}
            onChange={(event) => {
              setTyped(event.target.value);
              setAt(0);
            }}
            onBlur={() => setTyped(null)}
            onKeyDown={onKey}
          />
          {open && (
            <ul id={list} role="listbox" aria-label={props.label} className={css.list}>
              {shown.map((one, index) => (
                <li
                  key={one.value}
                  id={`${list}-${index}`}
                  role="option"
                  aria-selected={index === at}
                  className={css.option}
                  onPointerDown={(event) => event.preventDefault()}
                  onPointerMove={() => setAt(index)}
                  onClick={() => choose(one)}
                  onKeyDown={onKey}
                >
                  <span className={css.name}>{one.label ?? one.value}</span>
                  {one.note && <span className={css.note}>{one.note}</span>}
                </li>
              ))}
              {shown.length === 0 && <li className={css.none}>Nothing has this name.</li>}
            </ul>
          )}
        </div>
      )}
    </Field>
  );
}
