// Short messages of what was done or refused, in a corner.
import { X } from "lucide-react";
import { type ReactNode, useSyncExternalStore } from "react";
import { ApiError } from "../api/client";
import { Button } from "./button";
import { cx } from "./cx";
import { visible } from "./format";
import css from "./toast.module.css";

type Toast = { id: number; text: ReactNode; bad: boolean };

let toasts: Toast[] = [];
let last = 0;
const listeners = new Set<() => void>();

function set(next: Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

/** Shows a message for some seconds; a fault stays until it is closed. */
export function say(text: ReactNode, bad = false): void {
  last += 1;
  const id = last;
  set([...toasts.slice(-3), { id, text, bad }]);
  if (!bad) setTimeout(() => set(toasts.filter((one) => one.id !== id)), 5_000);
}

/** Shows why something was refused. */
export function sayError(error: unknown): void {
  const known = error instanceof ApiError;
  say(
    visible(known ? `${error.detail} (${error.code})` : error instanceof Error ? error.message : String(error)),
    true,
  );
}

export function Toasts() {
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
  return (
    <div className={css.stack} role="status" aria-live="polite">
      {shown.map((one) => (
        <div key={one.id} className={cx(css.toast, one.bad && css.bad)}>
          <div>{one.text}</div>
          <Button
            small
            kind="bare"
            icon={X}
            label="Close"
            onClick={() => set(toasts.filter((other) => other.id !== one.id))}
          />
        </div>
      ))}
    </div>
  );
}
