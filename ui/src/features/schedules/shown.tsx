import { Link } from "@tanstack/react-router";
import { visible } from "../../kit/format";
import { moment, useNow } from "../../kit/time";
import { clockOf, until } from "./model";
import css from "./schedules.module.css";

/** What a schedule starts, with its page. */
export function Target({ of: one }: { of: { workflow?: string | null; worker?: string | null } }) {
  if (one.workflow) {
    return (
      <span className={css.target}>
        <span className="muted">workflow</span>
        <Link to="/workflows/$name" params={{ name: one.workflow }}>
          {visible(one.workflow)}
        </Link>
      </span>
    );
  }
  return (
    <span className={css.target}>
      <span className="muted">worker</span>
      <Link to="/workers/$name" params={{ name: one.worker ?? "" }}>
        {visible(one.worker ?? "")}
      </Link>
    </span>
  );
}

/** A time to come: from now, and on the clock of its zone. */
export function Until({ at }: { at: string | undefined }) {
  const now = useNow();
  if (!at) return <span className="muted">–</span>;
  const clock = clockOf(at);
  return (
    <time className="num" dateTime={at} title={`${moment(at)} (${at})`}>
      {clock ? `${clock.day} ${clock.clock} ${clock.offset}` : at}{" "}
      <span className="muted">{until(Date.parse(at) - now)}</span>
    </time>
  );
}
