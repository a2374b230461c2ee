import { queries } from "../api/query";
import { hub } from "../live/hub";
import { session } from "./session";

/**
 * Ends the session: its key is forgotten here and in the other tabs, then revoked on the server where it is one of a
 * session. In that order: a tab that learns first of a revoked key takes it for a fault.
 */
export async function signOut(): Promise<void> {
  const { token, me } = session;
  session.end();
  hub.close();
  queries.clear();
  if (token && me?.name.startsWith("session")) {
    const headers = { authorization: `Bearer ${token}` };
    const revoke = { method: "DELETE", headers, credentials: "omit", keepalive: true } as const;
    await fetch("/api/v1/sessions/current", revoke).catch(() => undefined);
  }
}
