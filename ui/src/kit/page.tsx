import { type ReactNode, useEffect } from "react";
import { cx } from "./cx";
import css from "./page.module.css";

/** A page: its heading, one line of what it is for, its actions, its content. Sets the title of the tab. */
export function Page(props: {
  title: string;
  badge?: ReactNode;
  sub?: ReactNode;
  actions?: ReactNode;
  children?: ReactNode;
}) {
  const { title } = props;
  useEffect(() => {
    document.title = `${title} · Kapelle`;
  }, [title]);
  return (
    <div className={css.page}>
      <header className={css.head}>
        <div className={css.titles}>
          <div className={css.title}>
            <h1>{title}</h1>
            {props.badge}
          </div>
          {props.sub && <div className={css.sub}>{props.sub}</div>}
        </div>
        {props.actions && <div className={css.actions}>{props.actions}</div>}
      </header>
      {props.children}
    </div>
  );
}

/** A surface with an optional heading. `flush`: the content has its own padding, as tables do. */
export function Card(props: {
  title?: ReactNode;
  actions?: ReactNode;
  flush?: boolean;
  children: ReactNode;
  className?: string;
}) {
  return (
    <section className={cx(css.card, props.className)}>
      {(props.title || props.actions) && (
        <div className={css.cardHead}>
          {typeof props.title === "string" ? <h2>{props.title}</h2> : props.title}
          {props.actions && <div className={css.actions}>{props.actions}</div>}
        </div>
      )}
      <div className={cx(css.cardBody, props.flush && css.flush)}>{props.children}</div>
    </section>
  );
}

export function Toolbar({ children, label }: { children: ReactNode; label?: string }) {
  return (
    <div className={css.toolbar} role={label ? "group" : undefined} aria-label={label}>
      {children}
    </div>
  );
}

export function Grow() {
  return <span className={css.grow} />;
}

/** Figures side by side. */
export function Stats({ children }: { children: ReactNode }) {
  return <dl className={css.stats}>{children}</dl>;
}

export function Stat({ name, children, note }: { name: string; children: ReactNode; note?: ReactNode }) {
  return (
    <div className={css.stat}>
      <dt className={css.statName}>{name}</dt>
      <dd className={css.statValue}>{children}</dd>
      {note && <dd className={css.statNote}>{note}</dd>}
    </div>
  );
}

/** Names with values, one a line. Values that are null, undefined or false are left out. */
export function Facts({ of }: { of: [string, ReactNode][] }) {
  const there = of.filter(([, value]) => value !== null && value !== undefined && value !== false);
  return (
    <dl className={css.facts}>
      {there.map(([name, value]) => [<dt key={`${name} `}>{name}</dt>, <dd key={name}>{value}</dd>])}
    </dl>
  );
}

/** Cards beside each other where there is room. */
export function Columns({ children }: { children: ReactNode }) {
  return <div className={css.columns}>{children}</div>;
}
