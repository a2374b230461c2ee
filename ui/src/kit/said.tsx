// What a page says instead of data: nothing yet, loading, refused.
import { CircleAlert, Info, type LucideIcon, RotateCw } from "lucide-react";
import type { ReactNode } from "react";
import { ApiError } from "../api/client";
import { Button } from "./button";
import { CopyButton } from "./copy";
import { cx } from "./cx";
import { visible } from "./format";
import css from "./said.module.css";
import type { Tone } from "./state";

/** A command with a button that copies it. */
export function Command({ children }: { children: string }) {
  return (
    <span className={css.command}>
      <code>{children}</code>
      <CopyButton text={children} />
    </span>
  );
}

/** An empty page teaches: what would be here, and the command that brings it. */
export function Empty(props: {
  icon?: LucideIcon;
  title: string;
  children?: ReactNode;
  command?: string;
  action?: ReactNode;
}) {
  const Icon = props.icon ?? Info;
  return (
    <div className={css.empty}>
      <Icon aria-hidden />
      <div className={css.emptyTitle}>{props.title}</div>
      {props.children && <div className={css.emptyText}>{props.children}</div>}
      {props.command && <Command>{props.command}</Command>}
      {props.action}
    </div>
  );
}

/** A line of notice in a colour, with what can be done about it. */
export function Notice({
  tone = "info",
  icon: Icon = Info,
  children,
  action,
}: {
  tone?: Tone;
  icon?: LucideIcon;
  children: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className={cx(css.box, css[tone])} role={tone === "bad" ? "alert" : "status"}>
      <Icon aria-hidden />
      <div className={css.boxText}>{children}</div>
      {action}
    </div>
  );
}

/** A refusal: its detail, its code, and another try. A route that the server lacks is said to be missing. */
export function ErrorBox({ error, retry, what }: { error: unknown; retry?: () => void; what?: string }) {
  if (error instanceof ApiError && error.isMissing) {
    return (
      <Notice tone="calm" icon={Info}>
        {what ?? "This part"} is not available: the server has no route for it. A newer server does; see /docs for what
        this one has.
      </Notice>
    );
  }
  const known = error instanceof ApiError;
  const detail = known ? error.detail : error instanceof Error ? error.message : String(error);
  return (
    <Notice
      tone="bad"
      icon={CircleAlert}
      action={
        retry && (
          <Button small icon={RotateCw} onClick={retry}>
            Retry
          </Button>
        )
      }
    >
      {visible(detail)}
      {known && (
        <div className={css.code}>
          code <span className="mono">{error.code}</span>
          {error.status > 0 && `, status ${error.status}`}
          {error.field && `, field ${error.field}`}
        </div>
      )}
    </Notice>
  );
}

/** The place of something that is on its way: neither empty nor unknown. */
export function Loading({ what = "data" }: { what?: string }) {
  return (
    <div className={css.loading} role="status">
      <span className="sr">Loading {what}</span>
      <div className={css.bone} />
      <div className={css.bone} />
      <div className={css.bone} />
      <div className={css.bone} />
    </div>
  );
}

type Asked<T> = { data: T | undefined; error: unknown; isPending: boolean; refetch: () => unknown };

/** Shows what was read once it is there; before, that it loads; if it was refused, why. */
export function Loaded<T>({ of, what, children }: { of: Asked<T>; what?: string; children: (data: T) => ReactNode }) {
  if (of.data !== undefined) {
    return (
      <>
        {of.error != null && <ErrorBox error={of.error} retry={() => void of.refetch()} what={what} />}
        {children(of.data)}
      </>
    );
  }
  if (of.error != null) return <ErrorBox error={of.error} retry={() => void of.refetch()} what={what} />;
  return <Loading what={what} />;
}
