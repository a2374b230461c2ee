import { useCallback } from "react";
import { chosen } from "../kit/choice";
import type { Search } from "./router";
import { useFilters } from "./use-filters";

/** One of some choices, kept in the address under that name; the default is left out of it. */
export function useChoice<T extends string>(
  name: keyof Search,
  choices: readonly { readonly id: T }[],
  usual?: T,
): [T, (next: T) => void] {
  const [search, set] = useFilters();
  const first = usual ?? (choices[0] as { id: T }).id;
  const change = useCallback((next: T) => set({ [name]: next === first ? "" : next }), [set, name, first]);
  return [chosen(choices, search[name], first), change];
}
