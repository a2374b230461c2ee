import { useSyncExternalStore } from "react";

const DARK = "(prefers-color-scheme: dark)";

/** Whether the page is light or dark; the component is drawn again when that changes. */
export function useTheme(): "light" | "dark" {
  return useSyncExternalStore(
    (changed) => {
      const media = matchMedia(DARK);
      media.addEventListener("change", changed);
      return () => media.removeEventListener("change", changed);
    },
    () => (matchMedia(DARK).matches ? "dark" : "light"),
  );
}
