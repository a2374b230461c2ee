import { useEffect, useRef, useSyncExternalStore } from "react";
import { reread } from "../api/query";
import { useSession } from "../app/use-session";
import type { LiveFrame, Stats } from "./frames";
import { hub, type Reader } from "./hub";

/** Hands the frames of a topic to a reader, once a drawn frame. A topic of null reads nothing. */
export function useTopic(topic: string | null, reader: Reader): void {
  const kept = useRef(reader);
  kept.current = reader;
  useEffect(() => (topic ? hub.read(topic, (frames) => kept.current(frames)) : undefined), [topic]);
}

/** How often lists are read when the server has no live route. */
const POLL_MS = 3_000;

/**
 * Reads paths again after frames of a topic came, at most once in `every` ms; at intervals where there is no socket.
 * `paths` are the first parts of query keys.
 */
export function useLiveReads(topic: string | null, paths: readonly string[], every = 1_000): void {
  const session = useSession();
  const state = useRef({ last: 0, timer: undefined as ReturnType<typeof setTimeout> | undefined });
  const all = useRef(paths);
  all.current = paths;
  const go = useRef((): void => {
    const one = state.current;
    if (one.timer) return;
    one.timer = setTimeout(
      () => {
        one.timer = undefined;
        one.last = Date.now();
        reread(...all.current);
      },
      Math.max(0, one.last + every - Date.now()),
    );
  });
  useTopic(topic, (frames: LiveFrame[]) => {
    if (frames.some((frame) => frame.topic !== "")) go.current();
  });
  useEffect(() => {
    const one = state.current;
    const timer = setInterval(() => {
      if (!document.hidden && topic && !hub.isOpen && session.stage === "in") reread(...all.current);
    }, POLL_MS);
    return () => {
      clearInterval(timer);
      clearTimeout(one.timer);
      one.timer = undefined;
    };
  }, [topic, session]);
  // What happened while the connection was lost is read as soon as it is back.
  const lost = session.lostSince !== null;
  const was = useRef(lost);
  useEffect(() => {
    if (was.current && !lost) reread(...all.current);
    was.current = lost;
  }, [lost]);
}

let stats: Stats | null = null;
const listeners = new Set<() => void>();
let stop: (() => void) | undefined;

function watch(listener: () => void): () => void {
  listeners.add(listener);
  stop ??= hub.read("stats", (frames) => {
    const last = frames.findLast((frame) => frame.stats)?.stats;
    if (!last) return;
    stats = last;
    for (const one of listeners) one();
  });
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      stop?.();
      stop = undefined;
    }
  };
}

/** The figures of the second; null until the first ones came. */
export function useStats(): Stats | null {
  return useSyncExternalStore(watch, () => stats);
}
