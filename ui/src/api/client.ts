// The one way to the server: typed by openapi.json, with the session's key, refusals as ApiError.
import createClient from "openapi-fetch";
import { session } from "../app/session";
import type { Paths } from "./paths";

/** A refusal of the server (RFC 9457), or a connection that failed (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly field?: string,
  ) {
    super(detail);
  }

  /** Whether this server has no such route: it is older than the console, or was built without it. */
  get isMissing(): boolean {
    return this.status === 405 || (this.status === 404 && /^the path .* does not exist$/.test(this.detail));
  }
}

type Problem = { status?: number; code?: string; detail?: string; title?: string; field?: string };

export function toError(status: number, body: unknown): ApiError {
  const problem = (typeof body === "object" && body !== null ? body : {}) as Problem;
  const detail = problem.detail ?? problem.title ?? (typeof body === "string" && body ? body : `HTTP status ${status}`);
  return new ApiError(status, problem.code ?? "unknown", detail, problem.field);
}

async function guarded(request: Request): Promise<Response> {
  const token = session.token;
  if (token) request.headers.set("authorization", `Bearer ${token}`);
  let answer: Response;
  try {
    answer = await fetch(request);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    session.contact(false);
    throw new ApiError(0, "unreachable", "The server cannot be reached. It is asked again until it answers.");
  }
  session.contact(true);
  if (answer.status === 401 && token) session.refused(token);
  return answer;
}

export const api = createClient<Paths>({ baseUrl: "", fetch: guarded, credentials: "omit" });

type Result<T> = { data?: T; error?: unknown; response: Response };

/** The data of an answer; throws ApiError for refusals. */
export async function unwrap<T>(asked: Promise<Result<T>>): Promise<T> {
  const { data, error, response } = await asked;
  if (error !== undefined || !response.ok) throw toError(response.status, error);
  return data as T;
}

/** A request beside the typed ones: bytes, text, or a route that openapi.json does not have yet. */
export async function raw(method: string, path: string, init: RequestInit = {}): Promise<Response> {
  const answer = await guarded(new Request(path, { method, credentials: "omit", ...init }));
  if (!answer.ok) {
    const text = await answer.text();
    let body: unknown = text;
    try {
      body = JSON.parse(text);
    } catch {
      // The body stays text.
    }
    throw toError(answer.status, body);
  }
  return answer;
}

/** A key that makes the server carry out one action once, however often the request is sent. */
export function once(): string {
  return crypto.randomUUID();
}
