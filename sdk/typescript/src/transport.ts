/** Requests over `node:http`, on connections that are kept. */

import { setMaxListeners } from "node:events";
import * as http from "node:http";
import * as https from "node:https";

import type { Place } from "./place.js";

/** The time that an idle connection is kept. The server closes one after 10 seconds, and a request must not meet that. */
const IDLE_MS = 4_000;

/** Bytes of a body above which the answer `100 Continue` is awaited first. */
const LARGE = 256 * 1024;
/** The longest wait for it. */
const CONTINUE_MS = 1_000;

/** A request with everything that is written. */
export interface Sent {
  method: string;
  /** With the query. */
  path: string;
  body: string | Uint8Array | undefined;
  /** Names and values by turns, besides those of every request. */
  headers: string[];
}

/** A whole answer. */
export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Uint8Array;
}

/** An answer whose body is read as it comes. */
export type Stream = http.IncomingMessage;

/** Gets the function that writes more of a request whose body stays open. */
export type Up = (write: (text: string) => void) => void;

/** A server as node:http wants it. */
interface Origin {
  request: typeof http.request;
  agent: http.Agent;
  hostname: string;
  port: string;
  prefix: string;
  /** Headers of every request. */
  headers: string[];
}

const kept = { keepAlive: true, scheduling: "lifo", timeout: IDLE_MS } as const;
const agents = { "http:": watched(new http.Agent(kept)), "https:": watched(new https.Agent(kept)) };
const origins = new WeakMap<Place, Origin>();

/**
 * Keeps errors of connections from ending the program. Node reports one that breaks while a refused body is still being
 * written to nobody else, since the answer has been read.
 */
function watched(agent: http.Agent): http.Agent {
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (...given) => connect(...given).on("error", () => undefined);
  return agent;
}

function origin(place: Place): Origin {
  const known = origins.get(place);
  if (known) return known;
  const url = new URL(place.url);
  const secure = url.protocol === "https:";
  const made: Origin = {
    request: secure ? https.request : http.request,
    agent: secure ? agents["https:"] : agents["http:"],
    hostname: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port || (secure ? "443" : "80"),
    prefix: url.pathname.replace(/\/+$/, ""),
    headers: ["host", url.host, "authorization", `Bearer ${place.token}`, "user-agent", "kapelle-typescript"],
  };
  origins.set(place, made);
  return made;
}

/** The error of a request that took too long. */
export class OutOfTime extends Error {
  constructor() {
    super("no answer in time");
    this.name = "TimeoutError";
  }
}

/** Writes a request; `answered` gets the head of the answer. Redirects are answers. */
function write(
  place: Place, sent: Sent, answered: (stream: Stream) => void, failed: (error: Error) => void, up?: Up,
): http.ClientRequest {
  const { request, agent, hostname, port, prefix, headers: common } = origin(place);
  const headers = [...common, ...sent.headers];
  const { body, method } = sent;
  const bytes = body === undefined ? 0 : typeof body === "string" ? Buffer.byteLength(body) : body.length;
  if (up) {
    headers.push("transfer-encoding", "chunked");
    const asked = request({ agent, hostname, port, method, path: prefix + sent.path, headers }, answered);
    asked.on("error", failed);
    asked.write(String(body));
    up((text) => void (asked.destroyed || asked.write(text)));
    return asked;
  }
  if (bytes > 0 || method === "POST") headers.push("content-length", String(bytes));
  if (bytes > LARGE) headers.push("expect", "100-continue");
  const asked = request({ agent, hostname, port, method, path: prefix + sent.path, headers }, answered);
  asked.on("error", failed);
  if (bytes <= LARGE) return asked.end(body);
  // A server that refuses the body says so before it is written. Some proxies do not pass the question on.
  const go = (): void => {
    clearTimeout(late);
    if (!asked.destroyed && !asked.writableEnded) asked.end(body);
  };
  const late = setTimeout(go, CONTINUE_MS);
  asked.on("continue", go);
  asked.on("response", () => clearTimeout(late));
  asked.on("close", () => clearTimeout(late));
  asked.flushHeaders();
  return asked;
}

/** Sends a request and reads the answer. Rejects with the error of the network, OutOfTime or the reason of `signal`. */
export function exchange(place: Place, sent: Sent, withinMs: number, signal?: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const settle = (): void => {
      clearTimeout(limit);
      signal?.removeEventListener("abort", aborted);
    };
    // The error of a connection that is destroyed on purpose does not say why.
    let why: unknown;
    const cut = (reason: unknown): void => {
      why = reason;
      asked.destroy(reason);
    };
    const failed = (error: unknown): void => {
      settle();
      reject(why ?? error);
    };
    const asked = write(place, sent, (stream) => {
      const chunks: Uint8Array[] = [];
      stream.on("data", (chunk) => chunks.push(chunk));
      stream.on("end", () => {
        settle();
        // A body that was refused before it was written leaves the connection in the middle of a request.
        if (!asked.writableEnded) asked.destroy();
        const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
        resolve({ status: stream.statusCode ?? 0, headers: stream.headers, body });
      });
      stream.on("error", failed);
    }, failed);
    const limit = setTimeout(() => cut(new OutOfTime()), withinMs);
    const aborted = (): void => cut(signal?.reason);
    if (signal) {
      // One signal may end many requests; Node would warn of a leak.
      setMaxListeners(0, signal);
      signal.addEventListener("abort", aborted);
    }
  });
}

/** Opens a request whose answer is read as it comes; `signal` ends it. With `up` the body of the request stays open, too. */
export function stream(place: Place, sent: Sent, signal: AbortSignal, up?: Up): Promise<Stream> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const asked = write(place, sent, (stream) => {
      stream.on("close", () => signal.removeEventListener("abort", aborted));
      resolve(stream);
    }, reject, up);
    const aborted = (): void => void asked.destroy(signal.reason);
    signal.addEventListener("abort", aborted);
  });
}

/** The text of bytes. */
export function text(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
}
