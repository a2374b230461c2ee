import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { Button } from "./button";
import { cx } from "./cx";
import css from "./dialog.module.css";
import { ErrorBox } from "./said";

/** A modal dialog of the browser's own: focus stays inside, Escape closes it. It is in the page only while open. */
export function Dialog(props: {
  title: string;
  onClose: () => void;
  children: ReactNode;
  foot?: ReactNode;
  wide?: boolean;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const shown = dialog.current;
    if (shown && !shown.open) shown.showModal();
    return () => shown?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      className={cx(css.dialog, props.wide && css.wide)}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) props.onClose();
      }}
      onKeyDown={(event) => event.stopPropagation()}
    >
      <div className={css.head}>
        <h2 id={id}>{props.title}</h2>
        <Button kind="bare" small icon={X} label="Close" onClick={props.onClose} />
      </div>
      <div className={css.body}>{props.children}</div>
      {props.foot && <div className={css.foot}>{props.foot}</div>}
    </dialog>
  );
}

/** Asks before something is done, does it, and shows why if it was refused. */
export function Confirm(props: {
  title: string;
  yes: string;
  danger?: boolean;
  disabled?: boolean;
  run: () => Promise<unknown>;
  onClose: () => void;
  children?: ReactNode;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const go = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      await props.run();
      props.onClose();
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={props.title}
      onClose={props.onClose}
      foot={
        <>
          <Button onClick={props.onClose}>Not now</Button>
          <Button
            kind={props.danger ? "danger-fill" : "primary"}
            busy={busy}
            disabled={props.disabled}
            onClick={() => void go()}
          >
            {props.yes}
          </Button>
        </>
      }
    >
      {props.children}
      {error != null && <ErrorBox error={error} />}
    </Dialog>
  );
}
