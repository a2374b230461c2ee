// Saved views: filters with a name, kept in this browser.
import { Bookmark, X } from "lucide-react";
import { useState } from "react";
import type { Search } from "../../app/router";
import { Button } from "../../kit/button";
import { Dialog } from "../../kit/dialog";
import { TextField } from "../../kit/fields";
import css from "./runs.module.css";

type View = { name: string; search: Search };

function stored(key: string): View[] {
  try {
    const read: unknown = JSON.parse(localStorage.getItem(key) ?? "[]");
    return Array.isArray(read) ? (read as View[]) : [];
  } catch {
    return [];
  }
}

function same(a: Search, b: Search): boolean {
  const text = (search: Search): string =>
    JSON.stringify(
      Object.entries(search)
        .filter(([, value]) => value)
        .sort(),
    );
  return text(a) === text(b);
}

export function Views({
  place,
  given,
  search,
  onChoose,
}: {
  place: string;
  given: View[];
  search: Search;
  onChoose: (search: Search) => void;
}) {
  const key = `kapelle.views.${place}`;
  const [views, setViews] = useState(() => stored(key));
  const [naming, setNaming] = useState<string | null>(null);
  const keep = (next: View[]): void => {
    setViews(next);
    localStorage.setItem(key, JSON.stringify(next));
  };
  const isNew = ![...given, ...views].some((view) => same(view.search, search));
  return (
    <div className={css.views} role="group" aria-label="Views">
      {[...given, ...views].map((view, at) => (
        <span key={view.name} className={css.view} data-on={same(view.search, search) ? "" : undefined}>
          <button
            type="button"
            className={css.viewName}
            aria-pressed={same(view.search, search)}
            onClick={() => onChoose(view.search)}
          >
            {view.name}
          </button>
          {at >= given.length && (
            <button
              type="button"
              className={css.viewEnd}
              aria-label={`Forget the view ${view.name}`}
              onClick={() => keep(views.filter((one) => one !== view))}
            >
              <X size={12} aria-hidden />
            </button>
          )}
        </span>
      ))}
      {isNew && (
        <Button small kind="bare" icon={Bookmark} onClick={() => setNaming("")}>
          Save view
        </Button>
      )}
      {naming !== null && (
        <Dialog
          title="Save this view"
          onClose={() => setNaming(null)}
          foot={
            <Button
              kind="primary"
              disabled={!naming.trim()}
              onClick={() => {
                keep([...views.filter((one) => one.name !== naming.trim()), { name: naming.trim(), search }]);
                setNaming(null);
              }}
            >
              Save
            </Button>
          }
        >
          <TextField
            label="Name"
            value={naming}
            onChange={setNaming}
            max={40}
            help="Kept in this browser, with the filters as they are now"
          />
        </Dialog>
      )}
    </div>
  );
}
