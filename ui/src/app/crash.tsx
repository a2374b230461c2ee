import { Page } from "../kit/page";
import { ErrorBox } from "../kit/said";

/** A page that failed while it was drawn: what happened, and another try. */
export function Crash({ error, reset }: { error: unknown; reset?: () => void }) {
  return (
    <Page title="This page failed">
      <ErrorBox error={error} retry={() => (reset ? reset() : location.reload())} />
    </Page>
  );
}
