import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";
import type { Search } from "./router";

/** The filters of a page, kept in its address. Setting some replaces the entry of the history; `""` removes one. */
export function useFilters(): [Search, (next: Search) => void] {
  const search = useSearch({ strict: false }) as Search;
  const navigate = useNavigate();
  const set = useCallback(
    (next: Search) => {
      void navigate({
        to: ".",
        replace: true,
        resetScroll: false,
        search: ((was: Search) => ({ ...was, ...next })) as never,
      });
    },
    [navigate],
  );
  return [search, set];
}

/** The part of the address that names what the page shows. */
export function useParam(name: "run" | "task" | "name"): string {
  const params = useParams({ strict: false }) as Record<string, string | undefined>;
  return params[name] ?? "";
}
