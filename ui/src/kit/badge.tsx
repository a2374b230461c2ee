import type { ReactNode } from "react";
import css from "./badge.module.css";
import { cx } from "./cx";
import { lookOf, type Shape as ShapeName, type Tone } from "./state";

const PATHS: Record<ShapeName, ReactNode> = {
  check: <path d="M2.5 6.5 5 9l4.5-6" />,
  cross: <path d="m3 3 6 6m0-6-6 6" />,
  play: <path d="M3.5 2.2v7.6L9.8 6z" fill="currentColor" stroke="none" />,
  clock: <path d="M6 1.2a4.8 4.8 0 1 0 0 9.6 4.8 4.8 0 0 0 0-9.6M6 3.4V6l1.8 1.4" />,
  pause: <path d="M4 2.5v7m4-7v7" strokeWidth="2" />,
  ring: <circle cx="6" cy="6" r="3.6" />,
  dash: <path d="M2.5 6h7" />,
  skip: <path d="m2 3 4 3-4 3zm4.5 0 4 3-4 3z" fill="currentColor" stroke="none" />,
  coin: (
    <path
      d="M6 1.2a4.8 4.8 0 1 0 0 9.6 4.8 4.8 0 0 0 0-9.6m1.4 3C7 3.6 4.6 3.500 4.600 4.800c0 1.500 2.900.900 2.900 2.400C7.500 8.500 5 8.500 4.500 7.700M6 2.800v6.400"
      strokeWidth="1.100"
    />
  ),
  alert: <path d="M6 1.500 11 10.300H1zM6 4.800v2.400m0 1.400v.2" />,
  dot: <circle cx="6" cy="6" r="2" fill="currentColor" stroke="none" />,
  retry: <path d="M9.800 4.600A4.200 4.200 0 1 0 10.200 6.800M10 2v2.700H7.300" />,
};

export function Shape({ name, className }: { name: ShapeName; className?: string }) {
  return (
    <svg
      className={cx(css.shape, className)}
      viewBox="0 0 12 12"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {PATHS[name]}
    </svg>
  );
}

/** The word of a state with its shape and colour. `plain`: without the pill around it. */
export function StateBadge({
  state,
  plain,
  word,
}: {
  state: string | null | undefined;
  plain?: boolean;
  word?: string;
}) {
  const look = lookOf(state);
  return (
    <span className={cx(css.badge, css[look.tone], plain && css.plain)} data-state={state ?? "unknown"}>
      <Shape name={look.shape} />
      {word ?? look.word}
    </span>
  );
}

/** A small mark with a word: degraded, cached, recorded. */
export function Mark({ children, tone = "calm", title }: { children: ReactNode; tone?: Tone; title?: string }) {
  return (
    <span className={cx(css.mark, css[tone])} title={title}>
      {children}
    </span>
  );
}

type Marked = {
  degraded?: boolean;
  degraded_reason?: string | null;
  stand_in?: boolean;
  recorded?: boolean;
  truncated?: boolean;
  cached?: boolean;
  replayed?: number;
};

/** The marks of an answer, each with what it means. */
export function Marks({ of }: { of: Marked }) {
  return (
    <>
      {of.degraded && (
        <Mark tone="warn" title={of.degraded_reason ?? "The answer is of lower quality than requested"}>
          degraded
        </Mark>
      )}
      {of.stand_in && (
        <Mark tone="warn" title="A declared fallback worker answered">
          stand-in
        </Mark>
      )}
      {of.cached && <Mark title="An earlier answer for an equal input was reused">cached</Mark>}
      {of.truncated && (
        <Mark tone="warn" title="The input was cut to fit">
          truncated
        </Mark>
      )}
      {of.recorded && <Mark title="Model calls were answered from a recording, and nothing was paid">recorded</Mark>}
      {!!of.replayed && (
        <Mark title="Recorded answers were used again after a restart">replayed {of.replayed}, paid $0</Mark>
      )}
    </>
  );
}
