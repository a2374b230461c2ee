/** Conversion of a worker's error into the failure of its attempt. */

import { CATEGORIES, Cancelled, type Category, NoGateway, TaskError } from "./errors.js";
import { Broken } from "./wire.js";

/** Returns the failure to report. Any other error counts as a fault of the worker, which is retried; throw TaskError
 * to decide otherwise. */
export function failure(error: unknown): TaskError {
  if (error instanceof TaskError) return error;
  if (error instanceof Cancelled) return new TaskError(error.message, { category: "cancelled" });
  const message = error instanceof Error ? `${error.name}: ${error.message}` : `thrown: ${String(error)}`;
  const retryAfterMs = wait(error);
  return new TaskError(message, { category: category(error), ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

const NETWORK = new Set(["ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "EPIPE", "EHOSTUNREACH", "ENETUNREACH"]);

function category(error: unknown): Category {
  const { status, name, code, cause } = (error ?? {}) as { status?: unknown; name?: string; code?: string; cause?: { code?: string } };
  if (error instanceof NoGateway) return "model_required";
  // Those of the package openai, which need not be there, carry what the gateway answered: its code is a category where
  // it has one.
  const known = CATEGORIES.find((category) => category === code);
  if (known) return known;
  if (status === 429) return "rate_limited";
  if (typeof status === "number" && status >= 500) return "unavailable";
  const kind = error instanceof Error ? error.constructor.name : "";
  if (name === "TimeoutError" || code === "ETIMEDOUT" || kind === "APIConnectionTimeoutError") return "timeout";
  const network = NETWORK.has(code ?? "") || NETWORK.has(cause?.code ?? "");
  return network || error instanceof Broken || kind === "APIConnectionError" ? "unavailable" : "internal";
}

/** Returns the wait that an answer asked for. */
function wait(error: unknown): number | undefined {
  const { headers } = (error ?? {}) as { headers?: { get?: (name: string) => string | null } };
  const text = typeof headers?.get === "function" ? headers.get("retry-after") : undefined;
  return text && /^\d+$/.test(text) ? Number(text) * 1_000 : undefined;
}
