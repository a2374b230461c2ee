import { type MouseEvent, useCallback, useEffect, useRef, useState } from "react";
import { raw } from "../../api/client";
import { StateBadge } from "../../kit/badge";
import { inOrder, inWords } from "../../kit/counts";
import { count } from "../../kit/format";
import { ErrorBox } from "../../kit/said";
import { isEnded, lookOf } from "../../kit/state";
import css from "./heat.module.css";
import { byteOf, countStates, fitted, type Grid, stateOf } from "./model/heat";
import type { RunStore } from "./store";

const HEIGHT = 150;

/** Colours of the tones, from the tokens, so that the map follows light and dark. */
function colours(canvas: HTMLElement): (byte: number) => string {
  const style = getComputedStyle(canvas);
  const ink = document.createElement("canvas").getContext("2d");
  const kept = new Map<number, string>();
  return (byte) => {
    const had = kept.get(byte);
    if (had) return had;
    const state = stateOf(byte);
    const { tone } = lookOf(state);
    const name = state === "pending" ? "--sunken" : `--${tone}-fill`;
    // A custom property holds `light-dark(...)`, which the canvas does not know: a probe gives the colour in use.
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    canvas.parentElement?.append(probe);
    const colour = getComputedStyle(probe).color || style.color;
    probe.remove();
    if (ink) ink.fillStyle = colour;
    kept.set(byte, colour);
    return colour;
  };
}

function paint(canvas: HTMLCanvasElement, states: Uint8Array, grid: Grid, only: readonly number[] | null): void {
  const pen = canvas.getContext("2d");
  if (!pen) return;
  const of = colours(canvas);
  const ratio = devicePixelRatio || 1;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  const gap = grid.cell > 5 ? 1 : grid.cell > 3 ? 0.5 : 0;
  const one = (at: number): void => {
    const x = (at % grid.columns) * grid.cell;
    const y = Math.floor(at / grid.columns) * grid.cell;
    pen.fillStyle = of(states[at] ?? 255);
    pen.fillRect(x, y, grid.cell - gap, grid.cell - gap);
  };
  if (only) for (const at of only) one(at);
  else {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < states.length; at += 1) one(at);
  }
}

type Props = {
  store: RunStore;
  holder: string;
  ended: boolean;
  filter: string | null;
  onFilter: (state: string | null) => void;
  onItem: (index: number) => void;
};

/** The items of a fan-out, a cell each, painted on one canvas; a change paints its cell alone. */
export function HeatMap({ store, holder, ended, filter, onFilter, onItem }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const states = useRef(new Uint8Array(0));
  const grid = useRef<Grid>({ cell: 3, columns: 1, rows: 0, height: 0 });
  const [counts, setCounts] = useState<Record<string, number>>({});
  const [tip, setTip] = useState("");
  const [error, setError] = useState<unknown>(null);

  const draw = useCallback((): void => {
    const shown = canvas.current;
    if (!shown) return;
    const width = shown.clientWidth;
    const ratio = devicePixelRatio || 1;
    grid.current = fitted(states.current.length, width, HEIGHT);
    shown.width = Math.max(1, Math.round(width * ratio));
    shown.height = Math.max(1, Math.round(grid.current.height * ratio));
    shown.style.height = `${grid.current.height}px`;
    paint(shown, states.current, grid.current, null);
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the states are read again when the run has ended
  useEffect(() => {
    let gone = false;
    raw("GET", `/api/v1/runs/${store.id}/items/states?step=${encodeURIComponent(holder)}`)
      .then((answer) => answer.arrayBuffer())
      .then((bytes) => {
        if (gone) return;
        states.current = new Uint8Array(bytes);
        setCounts(countStates(states.current));
        draw();
      })
      .catch((refused) => !gone && setError(refused));
    return () => {
      gone = true;
    };
  }, [store, holder, draw, ended]);

  useEffect(() => {
    const shown = canvas.current;
    if (!shown) return;
    const watch = new ResizeObserver(draw);
    watch.observe(shown);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    return () => {
      watch.disconnect();
      dark.removeEventListener("change", draw);
    };
  }, [draw]);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = store.readItems(holder, (changes) => {
      const shown = canvas.current;
      const touched: number[] = [];
      for (const [index, state] of changes) {
        if (index >= states.current.length) continue;
        states.current[index] = byteOf(state);
        touched.push(index);
      }
      if (shown && touched.length > 0) paint(shown, states.current, grid.current, touched);
      timer ??= setTimeout(() => {
        timer = undefined;
        setCounts(countStates(states.current));
      }, 250);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [store, holder]);

  const under = (event: MouseEvent<HTMLCanvasElement>): number | null => {
    const { cell, columns } = grid.current;
    const column = Math.floor(event.nativeEvent.offsetX / cell);
    const at = Math.floor(event.nativeEvent.offsetY / cell) * columns + column;
    return column < columns && at < states.current.length ? at : null;
  };
  if (error != null) return <ErrorBox error={error} what="The map of items" />;
  return (
    <div className={css.wrap}>
      <canvas
        ref={canvas}
        className={css.canvas}
        role="img"
        aria-label={`Items: ${inWords(counts) || "none yet"}`}
        onMouseMove={(event) => {
          const at = under(event);
          setTip(at === null ? "" : `item ${at}: ${lookOf(stateOf(states.current[at] ?? 255)).word}`);
        }}
        onMouseLeave={() => setTip("")}
        onClick={(event) => {
          event.stopPropagation();
          const at = under(event);
          if (at !== null) onItem(at);
        }}
      />
      <div className={css.legend}>
        {inOrder(counts).map(([state, number]) => (
          <button
            key={state}
            type="button"
            className={css.chip}
            aria-pressed={filter === state}
            disabled={state === "pending"}
            title={state === "pending" ? undefined : `List the items that are ${lookOf(state).word}`}
            onClick={(event) => {
              event.stopPropagation();
              onFilter(filter === state ? null : state);
            }}
          >
            <StateBadge state={state} plain word={`${count(number)} ${lookOf(state).word}`} />
          </button>
        ))}
        <span className={css.tip}>{tip || (isEnded(filter) || filter ? "" : "A cell is an item; click one")}</span>
      </div>
    </div>
  );
}
