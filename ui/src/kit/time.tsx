import { useSyncExternalStore } from "react";
import { ago, duration, money, visible } from "./format";

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const YEAR = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const ZONE = new Intl.DateTimeFormat("en", { timeZoneName: "short" });

/** The zone of this browser, as it is written behind every time. */
export function zone(at = new Date()): string {
  return ZONE.formatToParts(at).find((part) => part.type === "timeZoneName")?.value ?? "UTC";
}

/** A moment with its zone: `21:04:11 UTC`, `29 Nov 21:04:11 UTC` on other days. */
export function moment(at: string | number | Date, now = new Date(), exact = false): string {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return String(at);
  const part = exact ? `.${String(time.getMilliseconds()).padStart(3, "0")}` : "";
  const clock = `${CLOCK.format(time)}${part} ${zone(time)}`;
  if (time.toDateString() === now.toDateString()) return clock;
  return `${(time.getFullYear() === now.getFullYear() ? DAY : YEAR).format(time)} ${clock}`;
}

/** A text of the server, in which times stand as on every page: on the clock of this browser, with its zone. */
export function reason(text: string, now = new Date()): string {
  return visible(text).replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (at) => moment(at, now));
}

// One clock for the page: every age on screen changes in the same frame, once a second, and not in hidden tabs.
const watchers = new Set<() => void>();
let tick = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function watch(watcher: () => void): () => void {
  watchers.add(watcher);
  timer ??= setInterval(() => {
    if (document.hidden) return;
    tick = Date.now();
    for (const one of watchers) one();
  }, 1_000);
  return () => {
    watchers.delete(watcher);
    if (watchers.size === 0 && timer) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The time now, renewed once a second. */
export function useNow(): number {
  return useSyncExternalStore(watch, () => tick);
}

function Ago({ at }: { at: string }) {
  const now = useNow();
  return <>{ago(Math.max(0, now - Date.parse(at)))}</>;
}

/** A moment. With `age`, how long ago it was, and the moment as a hint; `exact`: with milliseconds. */
export function Time({ at, age, exact }: { at: string | null | undefined; age?: boolean; exact?: boolean }) {
  if (!at) return <span className="muted">–</span>;
  return (
    <time className="num" dateTime={at} title={`${moment(at)} (${at})`}>
      {age ? <Ago at={at} /> : moment(at, undefined, exact)}
    </time>
  );
}

function Running({ from }: { from: number }) {
  const now = useNow();
  return <>{duration(Math.max(0, now - from))}</>;
}

/** The time between two moments; while there is no end, up to now. */
export function Span({ from, to }: { from: string | null | undefined; to?: string | null }) {
  if (!from) return <span className="muted">–</span>;
  const begin = Date.parse(from);
  return <span className="num">{to ? duration(Date.parse(to) - begin) : <Running from={begin} />}</span>;
}

export function Duration({ ms }: { ms: number | null | undefined }) {
  return <span className="num">{duration(ms)}</span>;
}

/** An amount of money. `null` is unknown, and nothing but zero is `$0`. */
export function Money({ nano }: { nano: number | null | undefined }) {
  const exact = nano == null ? "Not known" : `${(nano / 1e9).toFixed(9)} US dollars`;
  return (
    <span className="num" title={exact}>
      {money(nano)}
    </span>
  );
}
