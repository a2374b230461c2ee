// What is done to a schedule that exists: pause, resume, fire, backfill, delete.
import { CalendarClock, Pause, Play, Trash2, Zap } from "lucide-react";
import { useRef, useState } from "react";
import { api, once, unwrap } from "../../api/client";
import type { Schema } from "../../api/paths";
import { reread } from "../../api/query";
import { useAct } from "../../kit/act";
import { Button } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Confirm, Dialog } from "../../kit/dialog";
import { TextField } from "../../kit/fields";
import { many, visible } from "../../kit/format";
import { ErrorBox, Notice } from "../../kit/said";
import { shell } from "../../kit/snippets";
import { say } from "../../kit/toast";
import { clockOf } from "./model";
import css from "./schedules.module.css";

type Schedule = Schema<"Schedule">;

/** What shows schedules, and is read again after an act on one. */
export const READ = ["/api/v1/schedules", "/api/v1/schedules/{name}", "/api/v1/runs", "/api/v1/tasks"] as const;

export function path(name: string, verb = ""): string {
  return `/api/v1/schedules/${encodeURIComponent(name)}${verb && `/${verb}`}`;
}

function PauseDialog({ name, onClose }: { name: string; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const body = reason.trim() ? { reason: reason.trim() } : {};
  const words = [name, ...(reason.trim() ? [reason.trim()] : [])].map((one) => JSON.stringify(one)).join(", ");
  return (
    <Confirm
      title={`Pause ${visible(name)}?`}
      yes="Pause"
      run={() =>
        unwrap(api.POST("/api/v1/schedules/{name}/pause", { params: { path: { name } }, body })).then(() =>
          reread(...READ),
        )
      }
      onClose={onClose}
    >
      <p>Nothing is fired until it is resumed, and the times that pass are not fired later. What runs goes on.</p>
      <TextField
        label="Reason"
        help="It is recorded, and shown beside the schedule."
        value={reason}
        onChange={setReason}
      />
      <div>
        <CopyAs
          recipe={{
            method: "POST",
            path: path(name, "pause"),
            body,
            cli: `schedules pause ${shell(name)}${reason.trim() ? ` --reason ${shell(reason.trim())}` : ""}`,
            python: `client.schedules.pause(${words})`,
            typescript: `await client.schedules.pause(${words});`,
          }}
        />
      </div>
    </Confirm>
  );
}

function FireDialog({ name, onClose }: { name: string; onClose: () => void }) {
  // One key for as long as the dialog is open: a second press, or a repeated request, fires nothing more.
  const key = useRef(once());
  return (
    <Confirm
      title={`Fire ${visible(name)} now?`}
      yes="Fire now"
      run={async () => {
        const fire = await unwrap(
          api.POST("/api/v1/schedules/{name}/fire", {
            params: { path: { name } },
            headers: { "idempotency-key": key.current },
          }),
        );
        reread(...READ);
        say(visible(fire.explanation), fire.state === "refused");
      }}
      onClose={onClose}
    >
      <p>
        It is fired once, whatever its times, also while it is paused. Its rule for an earlier one that is open holds.
      </p>
      <div>
        <CopyAs
          recipe={{
            method: "POST",
            path: path(name, "fire"),
            cli: `schedules fire ${shell(name)}`,
            python: `print(client.schedules.fire(${JSON.stringify(name)}))`,
            typescript: `console.log(await client.schedules.fire(${JSON.stringify(name)}));`,
          }}
        />
      </div>
    </Confirm>
  );
}

function DeleteDialog({ name, onClose, onDone }: { name: string; onClose: () => void; onDone: () => void }) {
  return (
    <Confirm
      title={`Delete ${visible(name)}?`}
      yes="Delete"
      danger
      run={async () => {
        await unwrap(api.DELETE("/api/v1/schedules/{name}", { params: { path: { name } } }));
        reread(READ[0]);
        onDone();
      }}
      onClose={onClose}
    >
      <p>It is fired no more, and the record of its fires goes with it. Its runs and tasks continue.</p>
      <div>
        <CopyAs
          recipe={{
            method: "DELETE",
            path: path(name),
            cli: `schedules delete ${shell(name)}`,
            python: `client.schedules.delete(${JSON.stringify(name)})`,
            typescript: `await client.schedules.delete(${JSON.stringify(name)});`,
          }}
        />
      </div>
    </Confirm>
  );
}

/** The day before, as a time without its fraction. */
function dayAgo(days: number): string {
  return `${new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 19)}Z`;
}

/** Fires past times that were not started. They are listed first; a change of the range asks for a new list. */
function BackfillDialog({ name, onClose }: { name: string; onClose: () => void }) {
  const [range, setRange] = useState(() => ({ from: dayAgo(1), to: dayAgo(0) }));
  const [times, setTimes] = useState<string[] | null>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const put = (more: Partial<typeof range>): void => {
    setRange({ ...range, ...more });
    setTimes(null);
  };
  const ask = async (dry: boolean): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      const body = { ...range, dry_run: dry };
      const done = await unwrap(api.POST("/api/v1/schedules/{name}/backfill", { params: { path: { name } }, body }));
      if (dry) setTimes(done.times);
      else {
        reread(...READ);
        say(`Backfill: ${many(done.fires.length, "time")} fired`);
        onClose();
      }
    } catch (refused) {
      setError(refused);
    }
    setBusy(false);
  };
  return (
    <Dialog
      title={`Backfill ${visible(name)}`}
      onClose={onClose}
      foot={
        <>
          <Button onClick={onClose}>Not now</Button>
          {times && times.length > 0 ? (
            <Button kind="primary" busy={busy} onClick={() => void ask(false)}>
              Fire {many(times.length, "time")}
            </Button>
          ) : (
            <Button kind="primary" busy={busy} onClick={() => void ask(true)}>
              List the times
            </Button>
          )}
        </>
      }
    >
      <p>Past times that were not started are fired one after another, at most 100.</p>
      <div className={css.pair}>
        <TextField
          label="From"
          help="Such as 2026-12-01T00:00:00Z"
          code
          value={range.from}
          onChange={(from) => put({ from })}
        />
        <TextField
          label="To"
          help="Included; it must have passed"
          code
          value={range.to}
          onChange={(to) => put({ to })}
        />
      </div>
      {error != null && <ErrorBox error={error} />}
      {times && times.length === 0 && (
        <Notice tone="calm">Nothing to fire: every time of the range was started before, or there was none.</Notice>
      )}
      {times && times.length > 0 && (
        <div className={css.times} role="region" aria-label="Times that would be fired" tabIndex={0}>
          <ul className={css.next}>
            {times.map((time) => {
              const clock = clockOf(time);
              return (
                <li key={time} className="num">
                  {clock ? `${clock.day} ${clock.clock} ${clock.offset}` : time}
                </li>
              );
            })}
          </ul>
        </div>
      )}
      <div>
        <CopyAs
          recipe={{
            method: "POST",
            path: path(name, "backfill"),
            body: { ...range, dry_run: true },
            cli: `schedules backfill ${shell(name)} --from ${shell(range.from)} --to ${shell(range.to)} --dry-run`,
          }}
        />
      </div>
    </Dialog>
  );
}

/** Pauses or resumes; small in lists. */
export function PauseOrResume({ schedule, small }: { schedule: Schedule; small?: boolean }) {
  const { busy, act } = useAct(...READ);
  const [asked, setAsked] = useState(false);
  const { name } = schedule;
  const resume = () => unwrap(api.POST("/api/v1/schedules/{name}/resume", { params: { path: { name } }, body: {} }));
  return (
    <>
      {schedule.paused ? (
        <Button
          small={small}
          may="operate"
          icon={Play}
          busy={busy !== null}
          onClick={() => void act("resume", resume, `${visible(name)} goes on`)}
        >
          Resume
        </Button>
      ) : (
        <Button small={small} may="operate" icon={Pause} onClick={() => setAsked(true)}>
          Pause
        </Button>
      )}
      {asked && <PauseDialog name={name} onClose={() => setAsked(false)} />}
    </>
  );
}

/** Fires now, after a question; small in lists. */
export function FireNow({ name, small }: { name: string; small?: boolean }) {
  const [asked, setAsked] = useState(false);
  return (
    <>
      <Button small={small} may="operate" icon={Zap} onClick={() => setAsked(true)}>
        Fire now
      </Button>
      {asked && <FireDialog name={name} onClose={() => setAsked(false)} />}
    </>
  );
}

export function Backfill({ name }: { name: string }) {
  const [asked, setAsked] = useState(false);
  return (
    <>
      <Button may="operate" icon={CalendarClock} onClick={() => setAsked(true)}>
        Backfill
      </Button>
      {asked && <BackfillDialog name={name} onClose={() => setAsked(false)} />}
    </>
  );
}

export function Delete({ name, onDone }: { name: string; onDone: () => void }) {
  const [asked, setAsked] = useState(false);
  return (
    <>
      <Button may="operate" kind="danger" icon={Trash2} onClick={() => setAsked(true)}>
        Delete
      </Button>
      {asked && <DeleteDialog name={name} onClose={() => setAsked(false)} onDone={onDone} />}
    </>
  );
}
