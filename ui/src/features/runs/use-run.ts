import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { Graph, Run } from "../../api/paths";
import { reread, useGet } from "../../api/query";
import { isEnded } from "../../kit/state";
import { hub } from "../../live/hub";
import { useTopic } from "../../live/use-live";
import { crowded, grow, type Node } from "./model/tree";
import { RunStore } from "./store";

/** How often a run is read where there is no socket, and how often its totals are while there is one. */
const POLL = 2_000;

/** How often the tree of a run grows at most, in ms. */
const EVERY = 150;

/** The store of a run, filled and kept up to date while the page shows it. */
export function useRunStore(id: string, run: Run | undefined): RunStore {
  const store = useMemo(() => new RunStore(id), [id]);
  const known = run !== undefined;
  const ended = known && isEnded(run.state);
  const dirty = useRef(false);
  const open = useRef(false);
  useEffect(() => {
    void store.load();
  }, [store]);
  useTopic(ended ? null : `run:${id}`, (frames) => {
    dirty.current = true;
    if (store.take(frames)) void store.load();
    if (frames.some((frame) => frame.run)) reread("/api/v1/runs/{id}");
  });
  useEffect(() => {
    if (ended) {
      // What came over the socket lacks prices and reasons: the last state is read whole.
      if (open.current) {
        void store.load();
        reread("/api/v1/runs/{id}/graph");
      }
      return;
    }
    open.current = known;
    const timer = setInterval(() => {
      if (document.hidden) return;
      if (!hub.isOpen) void store.load();
      if (!hub.isOpen || dirty.current)
        reread("/api/v1/runs/{id}", "/api/v1/runs/{id}/graph", "/api/v1/runs/{id}/explain");
      dirty.current = false;
    }, POLL);
    return () => clearInterval(timer);
  }, [store, ended, known]);
  return store;
}

export function useVersion(store: RunStore): number {
  return useSyncExternalStore(store.subscribe, store.snapshot);
}

/** The tree of a run. However fast events come, it grows, and its readers are drawn, at most once in 150 ms. */
export function useTree(store: RunStore, graph: Graph | undefined): Node[] {
  const [shown, setShown] = useState(store.snapshot);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let last = 0;
    const show = (): void => {
      timer ??= setTimeout(
        () => {
          timer = undefined;
          last = performance.now();
          setShown(store.snapshot());
        },
        Math.max(0, last + EVERY - performance.now()),
      );
    };
    show();
    const stop = store.subscribe(show);
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [store]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `shown` says that the rows have changed
  return useMemo(() => grow(graph, store.all, crowded(graph, store.all)), [graph, store, shown]);
}

export function useRun(id: string) {
  return useGet("/api/v1/runs/{id}", { params: { path: { id } } });
}

export function useGraph(id: string) {
  return useGet("/api/v1/runs/{id}/graph", { params: { path: { id } } });
}
