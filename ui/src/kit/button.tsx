import { LoaderCircle, type LucideIcon } from "lucide-react";
import type { ReactNode } from "react";
import { type Permission, rolesOf, useMay, useSession } from "../app/use-session";
import css from "./button.module.css";
import { cx } from "./cx";

type Props = {
  children?: ReactNode;
  icon?: LucideIcon;
  kind?: "plain" | "primary" | "danger" | "danger-fill" | "bare";
  small?: boolean;
  /** What the press needs. A key without it does not see the button; the hint says which roles may. */
  may?: Permission;
  busy?: boolean;
  disabled?: boolean;
  /** The name of a button that shows an icon alone. */
  label?: string;
  hint?: string;
  type?: "button" | "submit";
  onClick?: () => void;
  pressed?: boolean;
  expanded?: boolean;
};

const KINDS = { plain: "", primary: css.primary, danger: css.danger, "danger-fill": css.dangerFill, bare: css.bare };

export function buttonClass(kind: Props["kind"] = "plain", small = false, icon = false): string {
  return cx(css.button, KINDS[kind], small && css.small, icon && css.icon);
}

/** A button that is there only for keys that may press it. */
export function Button(props: Props) {
  const { children, icon: Icon, kind, small, may, busy, label, hint, type = "button" } = props;
  if (!useMay(may)) return null;
  const title = [hint ?? label, may && may !== "read" ? `Needs the role ${rolesOf(may)}` : ""]
    .filter(Boolean)
    .join(". ");
  return (
    <button
      type={type}
      className={buttonClass(kind, small, children === undefined)}
      disabled={props.disabled || busy}
      onClick={props.onClick}
      aria-label={label}
      aria-pressed={props.pressed}
      aria-expanded={props.expanded}
      aria-busy={busy || undefined}
      title={title || undefined}
    >
      {busy ? <LoaderCircle className={css.spin} aria-hidden /> : Icon && <Icon aria-hidden />}
      {children}
    </button>
  );
}

/** Says in place of buttons which role they need, to a key that lacks it. */
export function RoleNote({ may, to }: { may: Permission; to: string }) {
  const session = useSession();
  if (useMay(may)) return null;
  return (
    <span className={css.note}>
      Your role {session.me?.role} may not {to}: it needs the role {rolesOf(may)}.
    </span>
  );
}
