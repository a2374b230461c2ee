import { useGet } from "../../api/query";
import { StateBadge } from "../../kit/badge";
import { CopyAs } from "../../kit/copy";
import { count, visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { Command, Empty, ErrorBox, Loaded, Notice } from "../../kit/said";
import { commandFor, worstFirst } from "./model";
import css from "./system.module.css";

/** The health checks of the running server; a failed one has its command. */
export function Health() {
  const health = useGet("/health", undefined, { refetchInterval: 10_000 });
  return (
    <Card
      title="Health"
      flush
      actions={
        <CopyAs
          recipe={{
            method: "GET",
            path: "/health",
            cli: "status",
            python: "print(client.health())",
            typescript: "console.log(await client.health());",
          }}
        />
      }
    >
      <Loaded of={health} what="The health">
        {(data) =>
          data.checks.length === 0 ? (
            <Empty
              title={data.status === "ok" ? "The server is well" : `The server is ${data.status}`}
              command="kapelle config show"
            >
              No health check is configured. A check under <code>health:</code> in the configuration watches failures,
              waits or the disk.
            </Empty>
          ) : (
            <div className={css.list}>
              {worstFirst(data.checks, (check) => check.status).map((check) => (
                <div key={check.name} className={css.check}>
                  <div>
                    <StateBadge state={check.status} />
                  </div>
                  <div className={css.words}>
                    <strong>{visible(check.name)}</strong>
                    <span className="muted">
                      {visible(check.reason) || "as it should be"} ({count(check.value)})
                    </span>
                    {check.status !== "ok" && <Command>{commandFor(check)}</Command>}
                  </div>
                </div>
              ))}
            </div>
          )
        }
      </Loaded>
    </Card>
  );
}

/** What `kapelle doctor` finds on the server's machine. */
export function Doctor() {
  const doctor = useGet("/api/v1/doctor", undefined, { staleTime: 30_000 });
  if (doctor.error?.isMissing) {
    return (
      <Card title="Doctor">
        <Notice tone="calm">
          This server leaves the check of its machine to the command line: <Command>kapelle doctor</Command>
        </Notice>
      </Card>
    );
  }
  if (doctor.error?.status === 403) return <ErrorBox error={doctor.error} what="Doctor" />;
  return (
    <Card title="Doctor" flush actions={<CopyAs recipe={{ method: "GET", path: "/api/v1/doctor", cli: "doctor" }} />}>
      <Loaded of={doctor} what="The findings">
        {(data) => (
          <div className={css.list}>
            {worstFirst(data.checks, (check) => check.state).map((check) => (
              <div key={check.name} className={css.check}>
                <div>
                  <StateBadge
                    state={check.state === "ok" ? "ok" : check.state === "warn" ? "warning" : "critical"}
                    word={check.state === "ok" ? "ok" : check.state === "warn" ? "look at it" : "broken"}
                  />
                </div>
                <div className={css.words}>
                  <strong>{visible(check.name)}</strong>
                  <span className="muted">{visible(check.found)}</span>
                  {check.todo && <Command>{visible(check.todo)}</Command>}
                </div>
              </div>
            ))}
          </div>
        )}
      </Loaded>
    </Card>
  );
}
