import { useRouter } from "@tanstack/react-router";
import { CornerDownLeft } from "lucide-react";
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { useGet } from "../api/query";
import { StateBadge } from "../kit/badge";
import { visible } from "../kit/format";
import { type Found, ofId, ofWords, pageOf } from "./find";
import css from "./palette.module.css";

function useFound(text: string): { found: Found[]; busy: boolean } {
  const [asked, setAsked] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text.trim()), 120);
    return () => clearTimeout(timer);
  }, [text]);
  const answer = useGet(
    "/api/v1/search",
    { params: { query: { q: asked, limit: 20 } } },
    { enabled: asked.length > 0, keep: true },
  );
  const found = useMemo(() => {
    const id = ofId(text);
    const hits = text.trim() ? (answer.data?.hits ?? []) : [];
    const remote = hits.flatMap((hit): Found[] => {
      const to = pageOf(hit.kind, hit.id);
      return to && hit.id !== id?.title
        ? [
            {
              key: `${hit.kind} ${hit.id}`,
              title: hit.title || hit.id,
              kind: hit.kind,
              to,
              state: hit.state ?? undefined,
            },
          ]
        : [];
    });
    return [...(id ? [id] : []), ...ofWords(text).slice(0, text.trim() ? 6 : 30), ...remote];
  }, [text, answer.data]);
  return { found, busy: answer.isFetching };
}

/** Finds any page, action, id or name. */
export function Palette({ onClose }: { onClose: () => void }) {
  const router = useRouter();
  const dialog = useRef<HTMLDialogElement>(null);
  const list = useId();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const { found, busy } = useFound(text);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const go = (one: Found | undefined): void => {
    if (!one) return;
    onClose();
    router.history.push(`/ui${one.to}`);
  };
  const onKey = (event: KeyboardEvent): void => {
    event.stopPropagation();
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const next = (at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % Math.max(1, found.length);
      setAt(next);
      dialog.current?.querySelectorAll("[role=option]")[next]?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") {
      event.preventDefault();
      go(found[at]);
    }
  };
  return (
    <dialog
      ref={dialog}
      className={css.dialog}
      aria-label="Find anything"
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
      }}
      onKeyDown={(event) => event.stopPropagation()}
    >
      <input
        className={css.input}
        type="text"
        role="combobox"
        aria-expanded
        aria-controls={list}
        aria-activedescendant={found[at] ? `${list}-${at}` : undefined}
        aria-label="A page, an action, an id or a name"
        placeholder="A page, an action, an id or a name"
        autoComplete="off"
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={onKey}
      />
      <ul id={list} role="listbox" aria-label="Found" className={css.list}>
        {found.map((one, index) => (
          <li
            key={one.key}
            id={`${list}-${index}`}
            role="option"
            aria-selected={index === at}
            className={css.item}
            onPointerMove={() => setAt(index)}
            onClick={() => go(one)}
            onKeyDown={onKey}
          >
            <span className={css.title}>{visible(one.title)}</span>
            {one.state && <StateBadge state={one.state} plain />}
            <span className={css.kind}>{one.kind}</span>
            {index === at && <CornerDownLeft aria-hidden />}
          </li>
        ))}
      </ul>
      {found.length === 0 && <div className={css.none}>{busy ? "Searching" : "Nothing has this name or id."}</div>}
    </dialog>
  );
}
