import { Link } from "@tanstack/react-router";
import { Check, UserRound, X } from "lucide-react";
import { useState } from "react";
import { api, unwrap } from "../../api/client";
import { reread } from "../../api/query";
import { Answer } from "../../kit/answer";
import { Button, RoleNote } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Confirm } from "../../kit/dialog";
import { TextField } from "../../kit/fields";
import { duration, visible } from "../../kit/format";
import { Time, useNow } from "../../kit/time";
import { say } from "../../kit/toast";
import css from "./inbox.module.css";
import { type Approval, questionOf } from "./model";

const READ = ["/api/v1/approvals", "/api/v1/counts", "/api/v1/runs/{id}"];

function Until({ at }: { at: string }) {
  const left = Date.parse(at) - useNow();
  return <span>{left > 0 ? `fails by itself in ${duration(left)}` : "its time is up"}</span>;
}

function AnswerDialog({ of, approve, onClose }: { of: Approval; approve: boolean; onClose: () => void }) {
  const [comment, setComment] = useState("");
  const run = async (): Promise<void> => {
    const body = comment.trim() ? { comment: comment.trim() } : {};
    const params = { path: { id: of.id } };
    await (approve
      ? unwrap(api.POST("/api/v1/approvals/{id}/approve", { params, body }))
      : unwrap(api.POST("/api/v1/approvals/{id}/deny", { params, body })));
    say(approve ? "Approved: the step has succeeded" : "Denied: the step has failed");
    reread(...READ);
  };
  return (
    <Confirm
      title={approve ? "Approve?" : "Deny?"}
      yes={approve ? "Approve" : "Deny"}
      danger={!approve}
      run={run}
      onClose={onClose}
    >
      <p>
        {approve
          ? "The step succeeds, and what needs it goes on."
          : "The step fails; the run goes on as its on_error and conditions say."}
      </p>
      <TextField
        label="Comment"
        help="It is recorded with your key, and later steps can read it."
        rows={3}
        value={comment}
        onChange={setComment}
      />
    </Confirm>
  );
}

/** A step that waits for a person. */
export function ApprovalGate({ of }: { of: Approval }) {
  const [answer, setAnswer] = useState<boolean | null>(null);
  const { title, rest } = questionOf(of.question);
  return (
    <article className={css.gate} aria-label={`Approval ${of.id}`}>
      <div className={css.kind}>
        <UserRound aria-hidden />A person is asked
      </div>
      {title && (
        <div className={css.question} dir="auto">
          {visible(title)}
        </div>
      )}
      {rest != null && <Answer value={rest} name={`${of.id}.json`} />}
      <div className={css.meta}>
        {of.run && (
          <span>
            step <code>{visible(of.step ?? "")}</code> of{" "}
            <Link to="/runs/$run" params={{ run: of.run }}>
              {of.run}
            </Link>
          </span>
        )}
        <span>
          waits since <Time at={of.created_at} age />
        </span>
        {of.until ? <Until at={of.until} /> : <span>waits without end</span>}
        {!!of.approvers?.length && <span>for {visible(of.approvers.join(", "))}</span>}
      </div>
      <div className={css.acts}>
        {of.may_answer ? (
          <>
            <Button kind="primary" icon={Check} onClick={() => setAnswer(true)}>
              Approve
            </Button>
            <Button kind="danger" icon={X} onClick={() => setAnswer(false)}>
              Deny
            </Button>
          </>
        ) : (
          <>
            <span className="muted">
              Your key may not answer this
              {of.approvers?.length ? `: it is for ${visible(of.approvers.join(", "))}` : ""}.
            </span>
            <RoleNote may="approve" to="answer approvals" />
          </>
        )}
        <CopyAs
          recipe={{
            method: "POST",
            path: `/api/v1/approvals/${of.id}/approve`,
            body: {},
            cli: `approvals approve ${of.id}`,
            python: `client.approvals.approve("${of.id}")`,
            typescript: `await client.approvals.approve("${of.id}");`,
          }}
        />
      </div>
      {answer !== null && <AnswerDialog of={of} approve={answer} onClose={() => setAnswer(null)} />}
    </article>
  );
}
