import { useState } from "react";
import { api, unwrap } from "../../api/client";
import type { Schema } from "../../api/paths";
import { reread } from "../../api/query";
import { Button } from "../../kit/button";
import { CopyAs, CopyButton } from "../../kit/copy";
import { Confirm, Dialog } from "../../kit/dialog";
import { CheckField, SelectField, TextField } from "../../kit/fields";
import { visible } from "../../kit/format";
import { Notice } from "../../kit/said";
import { typed } from "../money/model";
import css from "./access.module.css";
import { type Draft, keyBody, keyCli, LIFETIMES, NEW_KEY, RIGHTS, ROLES } from "./model";

type Created = Schema<"KeyCreated">;

/** Shows the secret of a new key, which is shown once. */
export function Secret({ created, onClose }: { created: Created; onClose: () => void }) {
  return (
    <Dialog
      title={`The key of ${visible(created.name)}`}
      onClose={onClose}
      foot={
        <Button kind="primary" onClick={onClose}>
          I have it
        </Button>
      }
    >
      <Notice tone="warn">This is the only time that it is shown. Whoever has it is a {created.role}.</Notice>
      <div className={css.secret}>
        {created.secret} <CopyButton text={created.secret} label="Copy the key" />
      </div>
    </Dialog>
  );
}

function Fields({ draft, onChange }: { draft: Draft; onChange: (draft: Draft) => void }) {
  const put = (more: Partial<Draft>): void => onChange({ ...draft, ...more });
  const opened = RIGHTS.filter((right) => right.roles.includes(draft.role)).map((right) => right.name.toLowerCase());
  return (
    <div className={css.form}>
      <TextField
        label="Name"
        help="For people: who or what uses it"
        value={draft.name}
        onChange={(name) => put({ name })}
      />
      <SelectField
        label="Role"
        help={`It may: ${opened.join(", ")}.`}
        value={draft.role}
        choices={ROLES.map((value) => ({ value }))}
        onChange={(role) => put({ role: role as Draft["role"] })}
      />
      <SelectField label="Valid for" value={draft.days} choices={LIFETIMES} onChange={(days) => put({ days })} />
      {draft.role === "worker" && (
        <>
          <TextField
            label="Workers"
            help="Names with commas, * for all; empty: those that the server does not run itself"
            value={draft.workers}
            onChange={(workers) => put({ workers })}
          />
          <TextField
            label="Queues"
            help="Names with commas; empty: any"
            value={draft.queues}
            onChange={(queues) => put({ queues })}
          />
          <CheckField
            label="May also submit tasks and start runs, and see those of its tenant"
            value={draft.submit}
            onChange={(submit) => put({ submit })}
          />
          <CheckField label="May also ask models" value={draft.ask} onChange={(ask) => put({ ask })} />
        </>
      )}
      {(draft.role === "developer" || draft.role === "viewer") && (
        <CheckField label="May also answer approvals" value={draft.approve} onChange={(approve) => put({ approve })} />
      )}
      <TextField
        label="May spend for models, dollars"
        help="Empty: no limit of its own"
        type="number"
        value={draft.limit}
        onChange={(limit) => put({ limit })}
        fault={draft.limit && typed(draft.limit) === null ? "Expected dollars, such as 2.50." : null}
      />
    </div>
  );
}

/** Makes a key. */
export function NewKeyDialog({ onMade, onClose }: { onMade: (created: Created) => void; onClose: () => void }) {
  const [draft, setDraft] = useState<Draft>(NEW_KEY);
  const body = keyBody(draft, draft.limit ? typed(draft.limit) : null);
  const valid = draft.name.trim() !== "" && (!draft.limit || typed(draft.limit) !== null);
  return (
    <Confirm
      title="Make a key"
      yes="Make it"
      disabled={!valid}
      run={async () => {
        const made = await unwrap(api.POST("/api/v1/keys", { body: body as never }));
        reread("/api/v1/keys", "/api/v1/audit");
        onMade(made);
      }}
      onClose={onClose}
    >
      <Fields draft={draft} onChange={setDraft} />
      <div>
        <CopyAs recipe={{ method: "POST", path: "/api/v1/keys", body, cli: keyCli(body) }} />
      </div>
    </Confirm>
  );
}
