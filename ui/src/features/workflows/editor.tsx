// An editor for definitions. CodeMirror makes style elements, which the CSP of the document forbids: inside of a shadow
// root it uses constructed style sheets instead.
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";
import type { SourceProblem } from "../../api/paths";
import css from "./workflows.module.css";

const COLOURS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.string, tags.content], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--park)" },
  { tag: tags.punctuation, color: "var(--muted)" },
]);

const LOOK = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--surface)", fontSize: "13px", height: "100%" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
  ".cm-content": { fontFamily: "var(--mono)", caretColor: "var(--text)", padding: "8px 0" },
  ".cm-scroller": { lineHeight: "20px", overflow: "auto" },
  ".cm-gutters": {
    backgroundColor: "var(--surface)",
    color: "var(--faint)",
    border: "none",
    borderRight: "1px solid var(--line)",
  },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--hover) 70%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "var(--hover)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--accent-soft) !important" },
  ".cm-tooltip": {
    backgroundColor: "var(--raised)",
    color: "var(--text)",
    border: "1px solid var(--line-strong)",
    borderRadius: "6px",
    font: "13px/18px var(--sans)",
    maxWidth: "480px",
  },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  // Its own mark is a picture from a data address, which the CSP of the document forbids.
  ".cm-lintRange-error, .cm-lintRange": {
    backgroundImage: "none !important",
    textDecoration: "underline wavy var(--bad)",
    textUnderlineOffset: "3px",
  },
});

type Props = { value: string; onChange?: (value: string) => void; problems: readonly SourceProblem[]; label: string };

function place(view: EditorView, problem: SourceProblem): Diagnostic {
  const number = Math.max(1, Math.min(view.state.doc.lines, problem.line || 1));
  const line = view.state.doc.line(number);
  const from = Math.min(line.to, line.from + Math.max(0, (problem.column || 1) - 1));
  const message = problem.hint ? `${problem.message}\n${problem.hint}` : problem.message;
  return { from, to: Math.max(from, line.to), severity: "error", message };
}

/** A text in YAML with its problems at their lines. Without `onChange` it is for reading. */
export default function Editor({ value, onChange, problems, label }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const told = useRef(onChange);
  told.current = onChange;
  const first = useRef(value);
  const isFixed = onChange === undefined;

  useEffect(() => {
    const place = host.current;
    if (!place) return;
    const root = place.shadowRoot ?? place.attachShadow({ mode: "open" });
    const made = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: first.current,
        extensions: [
          lineNumbers(),
          history(),
          indentOnInput(),
          highlightActiveLine(),
          yaml(),
          syntaxHighlighting(COLOURS),
          keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
          EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
          EditorState.readOnly.of(isFixed),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) told.current?.(update.state.doc.toString());
          }),
          LOOK,
        ],
      }),
    });
    view.current = made;
    return () => {
      made.destroy();
      view.current = null;
    };
  }, [label, isFixed]);

  useEffect(() => {
    const shown = view.current;
    if (shown && shown.state.doc.toString() !== value) {
      shown.dispatch({ changes: { from: 0, to: shown.state.doc.length, insert: value } });
    }
  }, [value]);

  useEffect(() => {
    const shown = view.current;
    if (shown)
      shown.dispatch(
        setDiagnostics(
          shown.state,
          problems.map((problem) => place(shown, problem)),
        ),
      );
  }, [problems]);

  return <div ref={host} className={css.editor} />;
}
