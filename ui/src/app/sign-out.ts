import { api } from "../api/client";
import { queries } from "../api/query";
import { hub } from "../live/hub";
import { session } from "./session";

/** Ends the session: its key is revoked on the server where it is one of a session, and forgotten here. */
export async function signOut(): Promise<void> {
  if (session.me?.name.startsWith("session")) {
    await (api.DELETE as (path: string, init: object) => Promise<unknown>)("/api/v1/sessions/current", {}).catch(
      () => undefined,
    );
  }
  session.end();
  hub.close();
  queries.clear();
}
