import { KeyRound, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { api, unwrap } from "../../api/client";
import type { Schema } from "../../api/paths";
import { reread, useGet } from "../../api/query";
import { useSession } from "../../app/use-session";
import { Mark, StateBadge } from "../../kit/badge";
import { Button } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Confirm } from "../../kit/dialog";
import { CheckField } from "../../kit/fields";
import { visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import css from "./access.module.css";
import { stateOf } from "./model";
import { NewKeyDialog, Secret } from "./new-key";

type Key = Schema<"Key">;

function Narrowed({ of: key }: { of: Key }) {
  return (
    <>
      {key.workers && key.workers.length > 0 && <Mark>workers {visible(key.workers.join(", "))}</Mark>}
      {key.queues && key.queues.length > 0 && <Mark>queues {visible(key.queues.join(", "))}</Mark>}
      {key.ask && <Mark>may ask models</Mark>}
      {key.submit && <Mark>may submit</Mark>}
      {key.approve && <Mark>may approve</Mark>}
    </>
  );
}

function columns(own: string | undefined, onRevoke: (key: Key) => void): Column<Key>[] {
  return [
    {
      key: "key",
      head: "Key",
      width: "minmax(150px, 1.6fr)",
      phone: "wide",
      cell: (key) => (
        <span className={css.name}>
          <strong>
            {visible(key.name)} {key.id === own && <Mark tone="info">this session</Mark>}
          </strong>
          <small>{key.id}</small>
        </span>
      ),
    },
    { key: "role", head: "Role", width: "90px", cell: (key) => key.role },
    { key: "tenant", head: "Tenant", width: "60px", phone: "hide", cell: (key) => key.tenant },
    {
      key: "state",
      head: "State",
      width: "104px",
      phone: "plain",
      cell: (key) => {
        const state = stateOf(key, Date.now());
        return <StateBadge state={state === "valid" ? "ok" : "cancelled"} word={state} />;
      },
    },
    { key: "made", head: "Made", width: "minmax(84px, 100px)", cell: (key) => <Time at={key.created_at} age /> },
    {
      key: "until",
      head: "Until",
      width: "minmax(100px, 150px)",
      cell: (key) => (key.expires_at ? <Time at={key.expires_at} /> : <span className="muted">without end</span>),
    },
    {
      key: "narrow",
      head: "Narrowed to",
      width: "minmax(90px, 1.4fr)",
      phone: "wide",
      cell: (key) => <Narrowed of={key} />,
    },
    {
      key: "acts",
      head: "",
      width: "92px",
      phone: "plain",
      cell: (key) =>
        stateOf(key, Date.now()) === "valid" && (
          <Button small may="administer" kind="danger" icon={Trash2} onClick={() => onRevoke(key)}>
            Revoke
          </Button>
        ),
    },
  ];
}

/** The keys of the tenant, with their making and their end. */
export function Keys() {
  const { me } = useSession();
  const keys = useGet("/api/v1/keys", undefined, { keep: true, refetchInterval: 15_000 });
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<Schema<"KeyCreated"> | null>(null);
  const [revoking, setRevoking] = useState<Key | null>(null);
  const [ended, setEnded] = useState(false);
  const now = Date.now();
  return (
    <Card
      title="Keys"
      flush
      actions={
        <>
          <CheckField label="Ended ones too" value={ended} onChange={setEnded} />
          <CopyAs recipe={{ method: "GET", path: "/api/v1/keys", cli: "keys list" }} />
          <Button may="administer" kind="primary" icon={Plus} onClick={() => setMaking(true)}>
            Make a key
          </Button>
        </>
      }
    >
      <Loaded of={keys} what="The keys">
        {(data) => (
          <Table
            label="Keys"
            columns={columns(me?.id, setRevoking)}
            rows={data.keys.filter((key) => ended || stateOf(key, now) === "valid")}
            rowKey={(key) => key.id}
            empty={
              <Empty
                icon={KeyRound}
                title="No keys beside the token of the folder"
                command="kapelle keys create ci --role developer --expires 90d"
              >
                The token in .kapelle/token is for its owner. Programs and people get a key each, with a role.
              </Empty>
            }
          />
        )}
      </Loaded>
      {making && <NewKeyDialog onMade={setMade} onClose={() => setMaking(false)} />}
      {made && <Secret created={made} onClose={() => setMade(null)} />}
      {revoking && (
        <Confirm
          title={`Revoke ${visible(revoking.name)}?`}
          yes="Revoke"
          danger
          run={() =>
            unwrap(api.DELETE("/api/v1/keys/{id}", { params: { path: { id: revoking.id } } })).then(() =>
              reread("/api/v1/keys", "/api/v1/audit"),
            )
          }
          onClose={() => setRevoking(null)}
        >
          <p>Whoever uses it is out within 5 seconds, for good. What it started goes on.</p>
          {revoking.id === me?.id && <p>It is the key of this session: you are signed out with it.</p>}
        </Confirm>
      )}
    </Card>
  );
}
