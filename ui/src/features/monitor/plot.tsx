// A chart by uPlot, in the page only when it is needed. Colours come from the tokens of the page, as they are drawn.
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useTheme } from "./theme";

export type PlotLine = { name: string; values: (number | null)[]; dash: boolean };
export type PlotMark = { at: number; text: string };

type Props = {
  times: readonly number[];
  lines: readonly PlotLine[];
  /** Classes whose text colour is that of the line, in the order of the lines. */
  colours: readonly string[];
  marks: readonly PlotMark[];
  word: (value: number) => string;
  /** The least top of the chart, so that a line along zero lies at its bottom. */
  least: number;
  /** Whether ticks are at powers of two, as for bytes. */
  binary: boolean;
  onAt: (at: number | null) => void;
};

const HEIGHT = 160;
const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power);
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const SECOND = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** A tick of the time: days where the ticks are days, seconds where they are less than a minute apart. */
function clock(at: number, every: number): string {
  const moment = new Date(at * 1_000);
  if (every >= 86_400) return DAY.format(moment);
  return (every < 60 ? SECOND : TIME).format(moment);
}

/** The colour that a class gives text, as the canvas takes it: tokens with two values are resolved. */
function colourOf(host: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.className = name;
  host.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function drawMarks(plot: uPlot, marks: readonly PlotMark[], colour: string): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.setLineDash([4, 4]);
  for (const mark of marks) {
    const x = plot.valToPos(mark.at, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

function options(host: HTMLElement, props: Props, muted: string, grid: string): uPlot.Options {
  const axis = { stroke: muted, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  return {
    width: Math.max(120, host.clientWidth),
    height: HEIGHT,
    legend: { show: false },
    cursor: { sync: { key: "monitor" }, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { y: { range: (_, __, top) => [0, Math.max(props.least, top * 1.1)] } },
    axes: [
      { ...axis, size: 28, space: 64, values: (_, ticks, __, ___, every) => ticks.map((at) => clock(at, every)) },
      {
        ...axis,
        size: (_plot, values) => 10 + 6.5 * Math.max(0, ...(values ?? []).map((value) => value.length)),
        space: 36,
        ...(props.binary ? { incrs: BINARY } : {}),
        values: (_, ticks) => ticks.map((value) => props.word(value)),
      },
    ],
    series: [
      {},
      ...props.lines.map((line, at) => ({
        label: line.name,
        stroke: colourOf(host, props.colours[at % props.colours.length] ?? ""),
        width: 1.5,
        ...(line.dash ? { dash: [5, 4] } : {}),
        points: { show: line.values.filter((value) => value !== null).length < 3 },
      })),
    ],
    hooks: {
      draw: [(plot) => drawMarks(plot, props.marks, muted)],
      setCursor: [(plot) => props.onAt(plot.cursor.idx ?? null)],
    },
  };
}

export default function Plot(props: Props) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const kept = useRef(props);
  kept.current = props;
  const theme = useTheme();
  const shape = props.lines.map((line) => `${line.name} ${line.dash}`).join("\n");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the chart is made anew for other lines and colours alone
  useEffect(() => {
    const node = host.current;
    if (!node) return;
    const style = getComputedStyle(node);
    const made = new uPlot(
      options(
        node,
        { ...kept.current, onAt: (at) => kept.current.onAt(at), word: (value) => kept.current.word(value) },
        style.color,
        style.outlineColor,
      ),
      [[], ...kept.current.lines.map(() => [])] as uPlot.AlignedData,
      node,
    );
    made.setData([kept.current.times, ...kept.current.lines.map((line) => line.values)] as uPlot.AlignedData);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: Math.max(120, node.clientWidth), height: HEIGHT }));
    watch.observe(node);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, theme]);
  useEffect(() => {
    plot.current?.setData([props.times, ...props.lines.map((line) => line.values)] as uPlot.AlignedData);
  }, [props.times, props.lines]);
  return <div ref={host} style={{ height: HEIGHT, color: "var(--muted)", outlineColor: "var(--line)" }} />;
}
