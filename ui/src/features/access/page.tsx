import { Check, KeyRound } from "lucide-react";
import { useFilters } from "../../app/use-filters";
import { useMay, useSession } from "../../app/use-session";
import { RoleNote } from "../../kit/button";
import { cx } from "../../kit/cx";
import { visible } from "../../kit/format";
import { Card, Facts, Page as Frame } from "../../kit/page";
import { Empty } from "../../kit/said";
import { Tabs } from "../../kit/tabs";
import { Time } from "../../kit/time";
import css from "./access.module.css";
import { Audit } from "./audit";
import { Keys } from "./keys";
import { RIGHTS, ROLES } from "./model";

function You() {
  const { me } = useSession();
  if (!me) return null;
  return (
    <Card title="You">
      <Facts
        of={[
          ["Key", visible(me.name)],
          ["Role", me.role],
          ["Tenant", me.tenant],
          ["Until", me.expires_at ? <Time key="u" at={me.expires_at} /> : "without end"],
        ]}
      />
    </Card>
  );
}

/** What each role may do; the own one is marked. */
function Roles() {
  const { me } = useSession();
  return (
    <Card title="What each role may do" flush>
      <div className={css.matrix} role="region" aria-label="What each role may do" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">May</th>
              {ROLES.map((role) => (
                <th key={role} scope="col" className={cx(role === me?.role && css.own)}>
                  {role}
                  {role === me?.role && <span className={css.about}>you</span>}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {RIGHTS.map((right) => (
              <tr key={right.permission}>
                <th scope="row">
                  {right.name}
                  <span className={css.about}>{right.about}</span>
                </th>
                {ROLES.map((role) => {
                  const yes = right.roles.includes(role);
                  return (
                    <td key={role} className={cx(role === me?.role && css.own)}>
                      {yes ? (
                        <Check size={16} className={css.yes} aria-label="yes" />
                      ) : (
                        <span className="muted">–</span>
                      )}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

const VIEWS = ["keys", "roles", "audit"] as const;

export function Page() {
  const [search, set] = useFilters();
  const may = useMay("administer");
  const view = VIEWS.find((one) => one === search.view) ?? "keys";
  return (
    <Frame title="Access" sub="Who may do what, with which key, and who did.">
      <Tabs
        label="Views"
        value={view}
        onChange={(next) => set({ view: next === "keys" ? "" : next })}
        tabs={[
          { id: "keys", name: "Keys" },
          { id: "roles", name: "Roles" },
          { id: "audit", name: "Audit" },
        ]}
      />
      {view === "keys" && <You />}
      {view === "roles" && <Roles />}
      {view !== "roles" && !may && (
        <Card>
          <Empty icon={KeyRound} title={view === "keys" ? "Keys are for admins" : "The audit trail is for admins"}>
            <RoleNote may="administer" to={view === "keys" ? "see keys" : "read the audit trail"} />
          </Empty>
        </Card>
      )}
      {view === "keys" && may && <Keys />}
      {view === "audit" && may && <Audit />}
    </Frame>
  );
}
