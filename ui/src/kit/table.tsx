import { useWindowVirtualizer } from "@tanstack/react-virtual";
import {
  type CSSProperties,
  type KeyboardEvent,
  type MouseEvent,
  type ReactNode,
  useCallback,
  useLayoutEffect,
  useRef,
  useState,
} from "react";
import { Button } from "./button";
import { cx } from "./cx";
import css from "./table.module.css";

export type Column<T> = {
  key: string;
  head: string;
  cell: (row: T) => ReactNode;
  /** A track of CSS grid, such as `minmax(120px, 1fr)`. Default `minmax(0, 1fr)`. */
  width?: string;
  right?: boolean;
  /** On a phone a row is a few lines: `wide` takes one of its own, `hide` is left out, `plain` has no label. */
  phone?: "wide" | "hide" | "plain";
};

export type Marking = { marked: ReadonlySet<string>; onMark: (marked: Set<string>) => void };

type Props<T> = {
  label: string;
  columns: Column<T>[];
  rows: readonly T[];
  rowKey: (row: T) => string;
  onOpen?: (row: T) => void;
  marking?: Marking;
  more?: { load: () => void; busy: boolean } | null;
  empty?: ReactNode;
};

/** Above this number of rows only those on screen are in the page. */
const VIRTUAL = 120;
const ROW = 39;

/** Whether a press was meant for something inside of the row. */
function isOwn(target: EventTarget): boolean {
  return target instanceof Element && target.closest("a, button, input, select, label, summary") !== null;
}

function Row<T>(
  props: Props<T> & { row: T; at: number; style?: CSSProperties; measure?: (node: HTMLElement | null) => void },
) {
  const { columns, row, rowKey, onOpen, marking, at } = props;
  const key = rowKey(row);
  const marked = marking?.marked.has(key) ?? false;
  const open = (event: MouseEvent | KeyboardEvent): void => {
    if (!onOpen || isOwn(event.target)) return;
    if ("key" in event && event.key !== "Enter") return;
    if (getSelection()?.toString()) return;
    onOpen(row);
  };
  return (
    <div
      role="row"
      ref={props.measure}
      data-index={at}
      aria-rowindex={at + 2}
      className={css.row}
      style={props.style}
      data-open={onOpen ? "" : undefined}
      data-marked={marked ? "" : undefined}
      onClick={open}
      onKeyDown={open}
      tabIndex={onOpen ? 0 : undefined}
    >
      {marking && (
        <div role="cell" className={css.tickCell}>
          <input
            type="checkbox"
            className={css.tick}
            checked={marked}
            aria-label={`Mark ${key}`}
            onChange={() => {
              const next = new Set(marking.marked);
              if (!next.delete(key)) next.add(key);
              marking.onMark(next);
            }}
          />
        </div>
      )}
      {columns.map((column) => (
        <div key={column.key} role="cell" className={cx(css.cell, column.right && css.right)} data-phone={column.phone}>
          {column.head && column.phone !== "wide" && column.phone !== "plain" && (
            <span className={css.label}>{column.head}</span>
          )}
          {column.cell(row)}
        </div>
      ))}
    </div>
  );
}

function Rows<T>(props: Props<T>) {
  const body = useRef<HTMLDivElement>(null);
  const [margin, setMargin] = useState(0);
  useLayoutEffect(() => setMargin(body.current?.offsetTop ?? 0), []);
  const virtual = useWindowVirtualizer({
    count: props.rows.length,
    estimateSize: () => ROW,
    overscan: 12,
    scrollMargin: margin,
    getItemKey: (at) => props.rowKey(props.rows[at] as T),
  });
  return (
    <div ref={body} role="rowgroup" className={cx(css.body, css.virtual)} style={{ height: virtual.getTotalSize() }}>
      {virtual.getVirtualItems().map((item) => (
        <Row
          {...props}
          key={item.key}
          row={props.rows[item.index] as T}
          at={item.index}
          measure={virtual.measureElement}
          style={{ transform: `translateY(${item.start - margin}px)` }}
        />
      ))}
    </div>
  );
}

/** The least width of a track, as `minmax(120px, 1fr)` has it. */
export function least(track: string): number {
  const pixels = /(\d+)px/.exec(track)?.[1];
  return pixels ? Number(pixels) : 72;
}

/** Whether columns need more room than their table has. */
function useNarrow(tracks: readonly string[]): [boolean, (node: HTMLElement | null) => (() => void) | undefined] {
  const [narrow, setNarrow] = useState(false);
  const needed = tracks.reduce((sum, track) => sum + least(track) + 16, 16);
  const watch = useCallback(
    (node: HTMLElement | null) => {
      if (!node) return undefined;
      const look = (): void => setNarrow(node.clientWidth > 0 && node.clientWidth < needed);
      look();
      const seen = new ResizeObserver(look);
      seen.observe(node);
      return () => seen.disconnect();
    },
    [needed],
  );
  return [narrow, watch];
}

/** Rows with columns: virtual when there are many, a list of short cards on a phone. */
export function Table<T>(props: Props<T>) {
  const { columns, rows, marking, more } = props;
  const widths = [...(marking ? ["20px"] : []), ...columns.map((column) => column.width ?? "minmax(0, 1fr)")];
  const [narrow, watch] = useNarrow(widths);
  if (rows.length === 0 && props.empty) return <>{props.empty}</>;
  const all = marking ? rows.every((row) => marking.marked.has(props.rowKey(row))) : false;
  return (
    <>
      <div
        role="table"
        aria-label={props.label}
        aria-rowcount={rows.length + 1}
        ref={watch}
        className={cx(css.table, narrow && css.narrow)}
        style={{ "--columns": widths.join(" ") } as CSSProperties}
      >
        <div role="rowgroup">
          <div role="row" aria-rowindex={1} className={css.head}>
            {marking && (
              <div role="columnheader" className={css.tickCell}>
                <input
                  type="checkbox"
                  className={css.tick}
                  aria-label="Mark all rows"
                  checked={all && rows.length > 0}
                  onChange={() => marking.onMark(new Set(all ? [] : rows.map(props.rowKey)))}
                />
              </div>
            )}
            {columns.map((column) => (
              <div key={column.key} role="columnheader" className={cx(column.right && css.right)}>
                {column.head || <span className="sr">{column.key}</span>}
              </div>
            ))}
          </div>
        </div>
        {rows.length > VIRTUAL ? (
          <Rows {...props} />
        ) : (
          <div role="rowgroup" className={css.body}>
            {rows.map((row, at) => (
              <Row {...props} key={props.rowKey(row)} row={row} at={at} />
            ))}
          </div>
        )}
      </div>
      {more && (
        <div className={css.more}>
          <Button small busy={more.busy} onClick={more.load}>
            Load more
          </Button>
        </div>
      )}
    </>
  );
}
