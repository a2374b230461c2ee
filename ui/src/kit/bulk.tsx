import { useEffect, useState } from "react";
import type { BulkResult } from "../api/contract";
import { Confirm } from "./dialog";
import { count, many } from "./format";
import { ErrorBox, Loading, Notice } from "./said";
import { Money } from "./time";
import { say } from "./toast";

/**
 * An action on many things at once. It is counted first, without doing it; then the person decides.
 * `ask(true)` counts, `ask(false)` does it.
 */
export function Bulk(props: {
  title: string;
  yes: string;
  noun: string;
  danger?: boolean;
  price?: string;
  ask: (dryRun: boolean) => Promise<BulkResult>;
  onClose: () => void;
  onDone: () => void;
}) {
  const [counted, setCounted] = useState<BulkResult | null>(null);
  const [error, setError] = useState<unknown>(null);
  const { ask, noun } = props;
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is counted once, when the dialog opens
  useEffect(() => {
    ask(true).then(setCounted, setError);
  }, []);
  const would = counted ? counted.matched - counted.refused.length : 0;
  const run = async (): Promise<void> => {
    const result = await ask(false);
    say(
      `${props.title}: ${many(result.done, noun)} done${result.refused.length ? `, ${count(result.refused.length)} refused` : ""}`,
    );
    props.onDone();
  };
  return (
    <Confirm
      title={props.title}
      yes={counted ? `${props.yes} ${count(would)}` : props.yes}
      danger={props.danger}
      disabled={would === 0}
      run={run}
      onClose={props.onClose}
    >
      {error != null && <ErrorBox error={error} what="The bulk action" />}
      {!counted && error == null && <Loading what="the count" />}
      {counted && (
        <>
          <p>
            {many(counted.matched, noun)} {counted.matched === 1 ? "matches" : "match"}
            {counted.more && ", and more than 1,000 do: the first 1,000 are taken"}.
            {props.price && (
              <>
                {" "}
                {props.price} <Money nano={counted.spent_nanousd} />.
              </>
            )}
          </p>
          {counted.refused.length > 0 && (
            <Notice tone="warn">
              {many(counted.refused.length, noun)} would be refused, the first because: {counted.refused[0]?.detail}
            </Notice>
          )}
        </>
      )}
    </Confirm>
  );
}
