import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { Dialog } from "../kit/dialog";
import css from "./keys.module.css";
import { ALL_PLACES } from "./nav";

const LINES: [string, string][] = [
  ["Ctrl K", "Find a page, an id, a name"],
  ["/", "Go to the search of the page"],
  ["?", "These keys"],
  ["Esc", "Close what is open"],
  ["↑ ↓", "Go through rows and the lines of a run"],
  ["← →", "Fold and unfold a line of a run; go from tab to tab"],
  ["Enter", "Open the row"],
];

/** Whether keys belong to what is being written in. */
function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** Keys of the whole console: Ctrl-K, `?`, `/`, and `g` followed by a letter for each page. */
export function useKeys(acts: { find: () => void; help: () => void }): void {
  const navigate = useNavigate();
  const kept = useRef(acts);
  kept.current = acts;
  useEffect(() => {
    let went = 0;
    const press = (event: KeyboardEvent): void => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        kept.current.find();
        return;
      }
      if (
        event.metaKey ||
        event.ctrlKey ||
        event.altKey ||
        isTyping(event.target) ||
        document.querySelector("dialog[open]")
      )
        return;
      if (event.key === "?") {
        event.preventDefault();
        kept.current.help();
      } else if (event.key === "/") {
        const search = document.querySelector<HTMLElement>("main [role=searchbox]");
        if (search) {
          event.preventDefault();
          search.focus();
        }
      } else if (event.key === "g") went = Date.now();
      else if (Date.now() - went < 1_200) {
        went = 0;
        const place = ALL_PLACES.find((one) => one.keys === `g ${event.key}`);
        if (place) {
          event.preventDefault();
          void navigate({ to: place.to });
        }
      }
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [navigate]);
}

export function KeyHelp({ onClose }: { onClose: () => void }) {
  const places = ALL_PLACES.flatMap((place): [string, string][] => (place.keys ? [[place.keys, place.name]] : []));
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className={css.list}>
        {[...LINES, ...places].map(([keys, what]) => [
          <dt key={`${keys} `}>
            {keys.split(" ").map((key) => (
              <kbd key={key}>{key}</kbd>
            ))}
          </dt>,
          <dd key={keys}>{what}</dd>,
        ])}
      </dl>
    </Dialog>
  );
}
