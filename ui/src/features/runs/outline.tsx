import { useVirtualizer } from "@tanstack/react-virtual";
import { ChevronRight } from "lucide-react";
import { type KeyboardEvent, memo, type ReactNode, useCallback, useEffect, useId, useMemo, useRef } from "react";
import { Marks, Shape } from "../../kit/badge";
import { CountsBar } from "../../kit/counts";
import { cx } from "../../kit/cx";
import { duration, many, visible } from "../../kit/format";
import { isEnded, lookOf } from "../../kit/state";
import { Money, useNow } from "../../kit/time";
import type { Then } from "./model/journal";
import { bounds, canOpen, type Line, type Node, ticks } from "./model/tree";
import css from "./outline.module.css";

type Frame = { from: number; to: number };

/** Where two moments lie on the track, in percent. */
function placed(from: number, to: number, frame: Frame): { left: string; width: string } {
  const span = frame.to - frame.from;
  const share = (at: number): number => Math.max(0, Math.min(1, (at - frame.from) / span));
  return { left: `${share(from) * 100}%`, width: `${(share(to) - share(from)) * 100}%` };
}

function Bar({ node, frame, state }: { node: Node; frame: Frame; state: string }) {
  const begin = node.from ?? node.ready;
  if (begin === null || state === "pending" || state === "skipped") return null;
  const open = node.to === null;
  const end = node.to ?? (isEnded(state) ? begin : frame.to);
  const title = `${lookOf(state).word}, ${duration(end - begin)}`;
  const waited = node.ready !== null && begin - node.ready > 1;
  return (
    <>
      {waited && node.ready !== null && (
        <span
          className={css.wait}
          style={placed(node.ready, begin, frame)}
          title={`Waited ${duration(begin - node.ready)}`}
        />
      )}
      <span
        className={cx(css.bar, css[lookOf(state).tone])}
        data-scope={node.children.length > 0 ? "" : undefined}
        data-open={open ? "" : undefined}
        style={placed(begin, end, frame)}
        title={title}
      />
    </>
  );
}

/** What a line says beside its name: the worker, or how many items there are. */
function About({ node }: { node: Node }): ReactNode {
  if (node.graph?.repeat)
    return (
      <span className={css.what}>
        turn {node.children.length} of at most {node.graph.repeat.max}
      </span>
    );
  if (node.counts && node.total !== undefined) return <CountsBar counts={node.counts} total={node.total} />;
  if (node.kind === "end") return <span className={css.what}>{END_WORDS[node.name]}</span>;
  const worker = node.task?.worker ?? node.graph?.worker ?? node.graph?.what;
  return worker && worker !== node.name ? (
    <span className={css.what}>{visible(worker.replace(/^\((.*)\)$/, "$1").replaceAll("_", " "))}</span>
  ) : null;
}

const END_WORDS: Record<string, string> = {
  on_error: "runs when the run fails",
  on_cancel: "runs when the run is cancelled",
  finally: "runs at the end, whatever happened",
};

type RowProps = {
  line: Line;
  id: string;
  frame: Frame;
  selected: boolean;
  onSelect: (path: string) => void;
  onFold: (path: string, open: boolean) => void;
};

/** A line. It is drawn again only when its node, its place or the time that the track spans has changed. */
const Row = memo(function Row({ line, id, frame, selected, onSelect, onFold }: RowProps) {
  const { node, depth, open } = line;
  const { state } = node;
  const can = canOpen(node);
  const look = lookOf(state);
  const end = node.to ?? frame.to;
  return (
    <div
      role="row"
      id={id}
      aria-level={depth + 1}
      aria-setsize={line.of}
      aria-posinset={line.at}
      aria-expanded={can ? open : undefined}
      aria-selected={selected}
      className={cx(css.line, state === "pending" && css.pending)}
      onClick={() => onSelect(node.path)}
      data-path={node.path}
      data-state={state}
    >
      <span role="gridcell" className={css.name} style={{ paddingLeft: Math.min(depth, 8) * 18 }}>
        {can ? (
          <button
            type="button"
            className={css.fold}
            data-open={open ? "" : undefined}
            tabIndex={-1}
            aria-label={open ? `Fold ${node.name}` : `Unfold ${node.name}`}
            onClick={(event) => {
              event.stopPropagation();
              onFold(node.path, !open);
            }}
          >
            <ChevronRight aria-hidden />
          </button>
        ) : (
          <span className={css.nofold} />
        )}
        <span className={cx(css.tone, css[look.tone])} title={look.word}>
          <Shape name={look.shape} />
          <span className="sr">{look.word}</span>
        </span>
        <span className={css.word}>{visible(node.name)}</span>
        <About node={node} />
        {node.task && <Marks of={node.task} />}
      </span>
      <span role="gridcell" className={css.right}>
        {node.from !== null && state !== "skipped" ? (
          duration(Math.max(0, end - node.from))
        ) : (
          <span className="muted">{look.word}</span>
        )}
      </span>
      <span role="gridcell" className={css.right}>
        {state === "pending" || state === "skipped" ? <span className="muted">–</span> : <Money nano={node.cost} />}
      </span>
      <span role="gridcell" className={css.track}>
        <Bar node={node} frame={frame} state={state} />
      </span>
    </div>
  );
});

/** A node as it was at a moment of the journal. */
export function asOf(node: Node, then: ReadonlyMap<string, Then>, moment: number | null): Node {
  const was = then.get(node.path);
  if (was) {
    const from = was.from ? Date.parse(was.from) : null;
    return { ...node, state: was.state, ready: null, from, to: was.to ? Date.parse(was.to) : moment };
  }
  const inside = node.children.map((child) => asOf(child, then, moment)).filter((child) => child.state !== "pending");
  if (inside.length === 0) return { ...node, state: "pending", ready: null, from: null, to: null };
  const open = inside.some((child) => !isEnded(child.state));
  const from = Math.min(...inside.map((child) => child.from ?? Number.POSITIVE_INFINITY));
  return {
    ...node,
    state: open ? "running" : "succeeded",
    ready: null,
    from: Number.isFinite(from) ? from : null,
    to: moment,
  };
}

type Props = {
  lines: Line[];
  run: { created_at: string; ended_at?: string | null };
  /** The states at the moment of the scrubber; null while the present is shown. */
  then: ReadonlyMap<string, Then> | null;
  moment: number | null;
  selected: string;
  onSelect: (path: string) => void;
  onFold: (path: string, open: boolean) => void;
  /** What stands below the line of a node: the map of its items, or the run that it started. */
  inset: (node: Node, kind: "heat" | "child") => ReactNode;
  label?: string;
};

/** The steps of a run with their time: one grid of lines that fold, of which only those on screen are in the page. */
export function Outline({ lines, run, then, moment, selected, onSelect, onFold, inset, label = "Steps" }: Props) {
  const scroll = useRef<HTMLDivElement>(null);
  const base = useId();
  const now = useNow();
  const until = run.ended_at ? 0 : now;
  const frame = useMemo(() => bounds(run.created_at, run.ended_at, until), [run.created_at, run.ended_at, until]);
  const acts = useRef({ onSelect, onFold });
  acts.current = { onSelect, onFold };
  const select = useCallback((path: string): void => acts.current.onSelect(path), []);
  const fold = useCallback((path: string, open: boolean): void => acts.current.onFold(path, open), []);
  const drawn = useMemo(
    () => (then ? lines.map((line) => ({ ...line, node: asOf(line.node, then, moment) })) : lines),
    [lines, then, moment],
  );
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroll.current,
    estimateSize: (at) => (lines[at]?.inset ? 180 : 34),
    overscan: 10,
    getItemKey: (at) => `${lines[at]?.node.path}${lines[at]?.inset ? " inset" : ""}`,
  });
  const marks = useMemo(() => ticks(frame.to - frame.from, 4), [frame.to, frame.from]);
  const at = lines.findIndex((line) => line.node.path === selected && !line.inset);
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is scrolled to when another line is chosen
  useEffect(() => {
    if (at >= 0) virtual.scrollToIndex(at, { align: "auto" });
  }, [selected]);

  const go = (to: number, step: number): void => {
    let next = to;
    while (lines[next]?.inset) next += step;
    const line = lines[next];
    if (line) onSelect(line.node.path);
  };
  const onKey = (event: KeyboardEvent): void => {
    const line = lines[at];
    const above = line ? lines.slice(0, at).findLastIndex((one) => one.depth < line.depth && !one.inset) : -1;
    const closed = line && !line.open && canOpen(line.node);
    switch (event.key) {
      case "ArrowDown":
        go(at + 1, 1);
        break;
      case "ArrowUp":
        go(Math.max(0, at - 1), -1);
        break;
      case "Home":
        go(0, 1);
        break;
      case "End":
        go(lines.length - 1, -1);
        break;
      case "ArrowRight":
        if (closed) onFold(line.node.path, true);
        else go(at + 1, 1);
        break;
      case "ArrowLeft":
        if (line?.open) onFold(line.node.path, false);
        else if (above >= 0) go(above, -1);
        break;
      default:
        return;
    }
    event.preventDefault();
  };
  return (
    <div className={css.grid}>
      <div className={css.head} aria-hidden="true">
        <span>Step</span>
        <span className={css.right}>Took</span>
        <span className={css.right}>Cost</span>
        <span className={css.track}>
          {marks.map((ms) => (
            <span key={ms} className={css.tick} style={{ left: `${(ms / (frame.to - frame.from)) * 100}%` }}>
              {ms === 0 ? "0" : duration(ms)}
            </span>
          ))}
        </span>
      </div>
      <div
        ref={scroll}
        role="treegrid"
        aria-label={`${label}, ${many(lines.length, "line")}`}
        aria-rowcount={lines.length}
        aria-activedescendant={at >= 0 ? `${base}-${at}` : undefined}
        tabIndex={0}
        className={css.scroll}
        onKeyDown={onKey}
      >
        <div role="rowgroup" className={css.space} style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const line = drawn[item.index];
            if (!line) return null;
            const { path } = line.node;
            const style = { transform: `translateY(${item.start}px)` };
            if (line.inset) {
              return (
                <div
                  key={item.key}
                  ref={virtual.measureElement}
                  data-index={item.index}
                  role="row"
                  className={cx(css.line, css.heat)}
                  style={{ ...style, height: "auto" }}
                >
                  <div role="gridcell">{inset(line.node, line.inset)}</div>
                </div>
              );
            }
            return (
              <div
                key={item.key}
                role="presentation"
                style={{ position: "absolute", left: 0, right: 0, top: 0, ...style }}
              >
                <Row
                  line={line}
                  id={`${base}-${item.index}`}
                  frame={frame}
                  selected={path === selected}
                  onSelect={select}
                  onFold={fold}
                />
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
