// What the page Providers says of keys, circuits and rates. Pure.
import type { Alias, Schema } from "../../api/paths";
import { count, duration } from "../../kit/format";

export type Provider = Schema<"Provider">;
export type Model = Schema<"ProviderModel">;
export type Row = Model & { provider: Provider };

/** States of keys and links. */
export const LINKS: Record<string, { word: string; state: string; hint: string }> = {
  ready: { word: "ready", state: "ok", hint: "It can be called." },
  no_key: { word: "no key", state: "-", hint: "No key is set for its provider." },
  key_refused: { word: "key refused", state: "critical", hint: "The provider refused the key." },
  offline: { word: "offline", state: "idle", hint: "Methods without a model answer, marked as degraded." },
};

export type Standing = { state: string; word: string; hint: string };

/** How a model stands: its key first, then its circuit, then its rate. */
export function standing({ provider, ...model }: Row): Standing {
  const key = LINKS[provider.state];
  if (provider.state !== "ready") {
    return { state: key?.state ?? "unknown", word: key?.word ?? provider.state, hint: provider.reason ?? "" };
  }
  const next = model.opens_in_ms == null ? "" : ` Next call in ${duration(model.opens_in_ms)}.`;
  switch (model.circuit) {
    case "open":
      return {
        state: "critical",
        word: "not called",
        hint: `${count(model.failures_in_row)} calls in a row failed.${next || " The next call tries it."}`,
      };
    case "probing":
      return { state: "retrying", word: "tried again", hint: "One call tries it; others wait for its result." };
    case "cooling":
      return { state: "held", word: "told to wait", hint: `The provider named a wait.${next}` };
    default:
      if (model.rate_wait_ms != null) {
        return { state: "held", word: "rate used up", hint: `Next call in ${duration(model.rate_wait_ms)}.` };
      }
      return asked(model) === 0
        ? { state: "ready", word: "ready", hint: "It was not called lately." }
        : { state: "ok", word: "works", hint: "" };
  }
}

/** What a name of a model leads to now: a model, offline methods, or nothing that answers. */
export function answers(alias: Pick<Alias, "live" | "links">): Standing {
  if (alias.live) return { state: "ok", word: "a model", hint: "" };
  return alias.links.some((link) => link.state === "offline")
    ? { state: "idle", word: "offline", hint: "Methods without a model answer, marked as degraded." }
    : { state: "-", word: "no answer", hint: "Its calls fail until a key is set." };
}

/** Calls in the last minutes. */
export function asked(model: Model): number {
  return model.recent_answered + model.recent_failed + model.recent_refused;
}

/** The share of the last minutes' calls that failed or were refused; null without calls. */
export function badShare(model: Model): number | null {
  const all = asked(model);
  return all === 0 ? null : (model.recent_failed + model.recent_refused) / all;
}

/** What a rate leaves: `12 of 60`, or nothing where no limit is known. */
export function leftWords(left: number | null | undefined, limit: number | null | undefined): string | null {
  if (left == null) return null;
  return limit == null ? count(left) : `${count(left)} of ${count(limit)}`;
}

const RANK: Record<string, number> = { critical: 0, held: 1, retrying: 1 };

/** Models of all providers, those in trouble first, then the most called. */
export function rowsOf(providers: readonly Provider[]): Row[] {
  const rank = (row: Row): number => RANK[standing(row).state] ?? 3;
  return providers
    .flatMap((provider) => provider.models.map((model) => ({ ...model, provider })))
    .sort((a, b) => rank(a) - rank(b) || asked(b) - asked(a) || a.model.localeCompare(b.model));
}
