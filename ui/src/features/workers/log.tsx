import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { useGet } from "../../api/query";
import { CheckField, SearchField } from "../../kit/fields";
import { count, visible } from "../../kit/format";
import { Card, Grow, Toolbar } from "../../kit/page";
import { Empty, Loaded, Notice } from "../../kit/said";
import { Time } from "../../kit/time";
import type { LogLine } from "../../live/frames";
import { hub } from "../../live/hub";
import { useTopic } from "../../live/use-live";
import { withLines } from "./model";
import css from "./workers.module.css";

const TAIL = 500;

function useLines(id: string): { lines: readonly LogLine[]; lost: number; asked: ReturnType<typeof useTail> } {
  const asked = useTail(id);
  const [lines, setLines] = useState<readonly LogLine[]>([]);
  const [lost, setLost] = useState(0);
  const tail = asked.data?.lines;
  useEffect(() => {
    if (tail) setLines((was) => withLines(was, tail));
  }, [tail]);
  useTopic(`logs:${id}`, (frames) => {
    const more = frames.flatMap((frame) => frame.lines ?? []);
    if (more.length > 0) setLines((was) => withLines(was, more));
    setLost((was) => frames.reduce((sum, frame) => sum + (frame.missed ?? 0), was));
    if (frames.some((frame) => frame.resync)) void asked.refetch();
  });
  return { lines, lost, asked };
}

function useTail(id: string) {
  return useGet(
    "/api/v1/scripts/{id}/logs",
    { params: { path: { id }, query: { tail: TAIL } } },
    { refetchInterval: () => (hub.isOpen ? false : 2_000) },
  );
}

/** What a script writes, live. The newest line stays in view until somebody scrolls up. */
export function ScriptLog({ id, name }: { id: string; name: string }) {
  const { lines, lost, asked } = useLines(id);
  const [q, setQ] = useState("");
  const [errors, setErrors] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const follow = useRef(true);
  const shown = lines.filter(
    (line) => (!errors || line.stream === "err") && (!q || line.text.toLowerCase().includes(q.toLowerCase())),
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: more lines move the view
  useLayoutEffect(() => {
    if (follow.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown.length, lines]);
  return (
    <Card title="Log">
      <Toolbar label="Log">
        <SearchField label="Lines with" value={q} onChange={setQ} />
        <CheckField label="Errors alone" value={errors} onChange={setErrors} />
        <Grow />
        <span className="muted">
          {count(shown.length)} of {count(lines.length)} lines here
        </span>
      </Toolbar>
      {lost > 0 && <Notice tone="warn">{count(lost)} lines came faster than they could be shown.</Notice>}
      <Loaded of={asked} what="The log">
        {() =>
          lines.length === 0 ? (
            <Empty title="It has written nothing yet" command={`kapelle logs ${name} --follow`}>
              What a script prints to its standard output and errors is here as it comes.
            </Empty>
          ) : (
            <div
              ref={box}
              className={css.log}
              role="log"
              aria-label={`Log of ${name}`}
              aria-live="off"
              tabIndex={0}
              onScroll={({ currentTarget: at }) => {
                follow.current = at.scrollTop + at.clientHeight >= at.scrollHeight - 24;
              }}
            >
              {shown.map((line) => (
                <div key={line.number} className={css.line} data-stream={line.stream}>
                  <Time at={line.at} />
                  <span>{line.stream}</span>
                  <span className={css.words}>{visible(line.text)}</span>
                </div>
              ))}
            </div>
          )
        }
      </Loaded>
    </Card>
  );
}
