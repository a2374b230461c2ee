import { useSyncExternalStore } from "react";
import { type Session, session } from "./session";

/** The session; the component is drawn again when it changes. */
export function useSession(): Session {
  useSyncExternalStore(session.subscribe, session.snapshot);
  return session;
}

export type Permission = "read" | "submit" | "ask" | "approve" | "operate" | "administer";

/** The roles with a permission, as crates/app holds them. The words are for people: the server decides. */
const ROLES: Record<Permission, string> = {
  read: "every role but worker",
  submit: "developer, operator or admin",
  ask: "developer, operator or admin",
  approve: "operator or admin",
  operate: "operator or admin",
  administer: "admin",
};

export function rolesOf(permission: Permission): string {
  return ROLES[permission];
}

export function useMay(permission: Permission | undefined): boolean {
  const session = useSession();
  return permission === undefined || session.may(permission);
}
