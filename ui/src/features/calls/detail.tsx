import { Link } from "@tanstack/react-router";
import { ApiError } from "../../api/client";
import type { CallDetail } from "../../api/paths";
import { useGet } from "../../api/query";
import { Mark, StateBadge } from "../../kit/badge";
import { CopyAs } from "../../kit/copy";
import { Dialog } from "../../kit/dialog";
import { bytes, count, visible } from "../../kit/format";
import { Facts } from "../../kit/page";
import { ErrorBox, Loaded } from "../../kit/said";
import { Json } from "../../kit/text";
import { Money, Span, Time } from "../../kit/time";
import css from "./calls.module.css";

const STATES: Record<string, string> = {
  open: "It is under way; its reservation holds the money.",
  charged: "It was paid.",
  free: "It cost nothing: it failed before the provider charged, or its model is free.",
  unknown: "The provider did not say what it cost; the most it can have cost is charged.",
  given: "Its money was given to a host beforehand.",
};

function Body({ call }: { call: CallDetail }) {
  return (
    <>
      <Facts
        of={[
          [
            "State",
            <span key="s">
              <StateBadge state={call.state} /> <span className="muted">{STATES[call.state]}</span>
            </span>,
          ],
          ["Model", visible(`${call.provider}, ${call.model}`)],
          ["Operation", visible(call.operation)],
          [
            "Run",
            call.run && (
              <Link to="/runs/$run" params={{ run: call.run }}>
                {call.run}
              </Link>
            ),
          ],
          [
            "Task",
            call.task && (
              <span>
                <Link to="/tasks/$task" params={{ task: call.task }} className={css.inText}>
                  {call.task}
                </Link>
                , attempt {call.attempt}
              </span>
            ),
          ],
          ["Began", <Time key="t" at={call.at} />],
          ["Took", <Span key="d" from={call.at} to={call.ended_at} />],
          ["Tokens", `${count(call.input_tokens)} sent, ${count(call.output_tokens)} received`],
          ["Reserved", <Money key="r" nano={call.reserved_nanousd} />],
          ["Paid", <Money key="p" nano={call.cost_nanousd} />],
          ["Paid by", call.payers.length > 0 && visible(call.payers.join(", "))],
          ["Provider's id", call.provider_request_id && <code>{visible(call.provider_request_id)}</code>],
          [
            "Kept",
            call.recorded && <Mark title="A later attempt gets it again and pays nothing">answer recorded</Mark>,
          ],
        ]}
      />
      <h3>Answer</h3>
      {call.answer !== undefined ? (
        <Json value={call.answer} name={`${call.id}.json`} />
      ) : (
        <p className="muted">
          {call.answer_bytes
            ? `It has ${bytes(call.answer_bytes)}, too much to be shown here.`
            : "It is not kept. Answers are kept while a task may be tried again; prompts never are."}
        </p>
      )}
    </>
  );
}

/** One call of a model. A server without the route for one call still lists it. */
export function CallDialog({ id, onClose }: { id: string; onClose: () => void }) {
  const call = useGet("/api/v1/calls/{id}", { params: { path: { id } } });
  return (
    <Dialog
      title={`Call ${visible(id)}`}
      onClose={onClose}
      wide
      foot={<CopyAs recipe={{ method: "GET", path: `/api/v1/calls/${id}`, cli: "cost --export" }} />}
    >
      {call.error instanceof ApiError && call.error.status === 404 ? (
        <ErrorBox error={call.error} what="The call" />
      ) : (
        <Loaded of={call} what="The call">
          {(data) => <Body call={data} />}
        </Loaded>
      )}
    </Dialog>
  );
}
