import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import { useGet } from "../api/query";
import { Button } from "../kit/button";
import { Confirm } from "../kit/dialog";
import { TextField } from "../kit/fields";
import { Command, ErrorBox, Notice } from "../kit/said";
import { hub } from "../live/hub";
import css from "./gate.module.css";
import { useSession } from "./use-session";

/** The form of a tab that is not let in. */
function SignIn() {
  const session = useSession();
  const [key, setKey] = useState("");
  useEffect(() => {
    document.title = "Sign in · Kapelle";
  }, []);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (key.trim()) session.enter(key.trim());
  };
  return (
    <main className={css.gate}>
      <div className={css.box}>
        <div className={css.brand}>
          <img src="/ui/icon.svg" alt="" />
          <h1>Kapelle</h1>
        </div>
        {session.why && <Notice tone="warn">{session.why}</Notice>}
        <div className={css.steps}>
          <p>Print a link that signs in once, in the folder of the project:</p>
          <Command>kapelle ui</Command>
          <p>Or paste a key. The folder's own is in .kapelle/token.</p>
        </div>
        <form className={css.form} onSubmit={submit}>
          <TextField
            label="Key"
            type="password"
            value={key}
            onChange={setKey}
            help="Kept in this tab, and forgotten when it is closed"
          />
          <Button kind="primary" type="submit" disabled={!key.trim()}>
            Sign in
          </Button>
        </form>
      </div>
    </main>
  );
}

/** Asks the server who the key belongs to, now and every few seconds: a revoked key is out at once. */
function Known({ children }: { children: ReactNode }) {
  const session = useSession();
  const me = useGet("/api/v1/me", undefined, { refetchInterval: 4_000, staleTime: 0 });
  useEffect(() => {
    if (me.data) session.know(me.data);
  }, [me.data, session]);
  useEffect(() => {
    const shown = (): void => {
      if (!document.hidden) hub.shown();
    };
    document.addEventListener("visibilitychange", shown);
    return () => {
      document.removeEventListener("visibilitychange", shown);
      hub.close();
    };
  }, []);
  const pending = session.pending;
  // One request finds out whether the key holds before pages send theirs: refused ones are counted by the server.
  const settled = me.data !== undefined || (me.error !== null && me.error.status !== 0 && me.error.status !== 429);
  if (!settled && session.me === null) {
    return (
      <main className={css.gate}>{me.error && <ErrorBox error={me.error} retry={() => void me.refetch()} />}</main>
    );
  }
  return (
    <>
      {children}
      {pending && (
        <Confirm
          title="Sign in with this link?"
          yes="Sign in with the link"
          run={() => session.redeem(pending)}
          onClose={() => session.dismiss()}
        >
          <p>
            This tab is signed in already. Go on with the link only if you printed it yourself: it replaces the key of
            this tab.
          </p>
        </Confirm>
      )}
    </>
  );
}

/** Lets in tabs that have a key. */
export function Gate({ children }: { children: ReactNode }) {
  const session = useSession();
  if (session.stage === "out") return <SignIn />;
  if (session.stage !== "in") return null;
  return <Known key={session.token}>{children}</Known>;
}
