import { Check, Code, Copy } from "lucide-react";
import { useEffect, useId, useRef, useState } from "react";
import { Button, buttonClass } from "./button";
import css from "./copy.module.css";
import { place } from "./place";
import { type Recipe, snippets } from "./snippets";
import { Tabs } from "./tabs";

/** Copies a text; for a moment it says so. */
export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1_500);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setDone(true);
    } catch {
      // A page over plain HTTP from another machine has no clipboard: the text is selected by hand.
      setDone(false);
    }
  };
  return (
    <Button small kind="bare" icon={done ? Check : Copy} label={done ? "Copied" : label} onClick={() => void copy()} />
  );
}

const LANGUAGES = [
  { id: "curl", name: "curl" },
  { id: "cli", name: "CLI" },
  { id: "python", name: "Python" },
  { id: "typescript", name: "TypeScript" },
] as const;

/** The same action as a line of curl, of the command line, of Python and of TypeScript. */
export function CopyAs({ recipe, label = "Copy as" }: { recipe: Recipe; label?: string }) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const [language, setLanguage] = useState<(typeof LANGUAGES)[number]["id"]>("curl");
  const [open, setOpen] = useState(false);
  const text = open ? snippets(recipe, location.origin)[language] : "";
  return (
    <span className={css.wrap}>
      <button ref={button} type="button" className={buttonClass()} popoverTarget={id} aria-expanded={open}>
        <Code aria-hidden />
        {label}
      </button>
      <div
        ref={panel}
        id={id}
        popover="auto"
        className={css.panel}
        onToggle={(event) => {
          const shown = event.newState === "open";
          setOpen(shown);
          if (shown && button.current && panel.current) place(panel.current, button.current);
        }}
      >
        <div className={css.head}>
          <Tabs label="Language" small tabs={LANGUAGES} value={language} onChange={setLanguage} />
          <CopyButton text={text} label="Copy the snippet" />
        </div>
        <pre className={css.code}>{text}</pre>
        <p className={css.note}>
          {text.includes("KAPELLE_TOKEN")
            ? "KAPELLE_TOKEN holds the key; in the folder of the project it is in .kapelle/token."
            : "In the folder of the project address and key are found by themselves."}
        </p>
      </div>
    </span>
  );
}
