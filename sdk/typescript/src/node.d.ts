// The part of Node that this package uses, so that it needs no package of types.

declare const process: {
  readonly argv: string[];
  readonly env: Record<string, string | undefined>;
  readonly pid: number;
  cwd(): string;
  nextTick(f: () => void): void;
  on(event: string, listener: () => void): void;
  off(event: string, listener: () => void): void;
};

declare module "node:fs" {
  export function mkdtempSync(prefix: string): string;
  export function readFileSync(path: string, encoding: "utf8"): string;
  export function rmSync(path: string, options: { recursive: boolean; force: boolean }): void;
  export function writeFileSync(path: string, text: string): void;
}
declare module "node:path" {
  export function dirname(path: string): string;
  export function join(...parts: string[]): string;
}
declare module "node:os" {
  export function hostname(): string;
  export function tmpdir(): string;
}
declare module "node:crypto" {
  export function randomUUID(): string;
}
declare module "node:module" {
  export function createRequire(from: string): { resolve(name: string): string };
}
declare module "node:url" {
  export function pathToFileURL(path: string): URL;
}
declare module "node:worker_threads" {
  export const parentPort: {
    on(event: "message", listener: (message: never) => void): void;
    postMessage(message: unknown): void;
  } | null;
  export const workerData: unknown;
  export class Worker {
    constructor(script: URL, options: { workerData: unknown; execArgv: string[] });
    on(event: "message", listener: (message: never) => void): this;
    on(event: "error", listener: (error: Error) => void): this;
    postMessage(message: unknown): void;
    terminate(): Promise<number>;
    unref(): void;
  }
}
declare const Buffer: {
  byteLength(text: string): number;
  concat(parts: Uint8Array[]): Uint8Array;
  from(bytes: ArrayBufferLike, offset: number, length: number): { toString(): string };
};
declare module "node:child_process" {
  interface Output {
    on(event: "data", listener: (chunk: Uint8Array) => void): this;
    unref(): void;
  }
  interface Child {
    readonly stdout: Output;
    readonly stderr: Output;
    on(event: "exit", listener: () => void): this;
    on(event: "error", listener: (error: Error) => void): this;
    kill(signal: string): boolean;
    unref(): void;
  }
  export function spawn(
    program: string, words: string[], options: { cwd: string; env: Record<string, string>; stdio: string[] },
  ): Child;
}
declare module "node:events" {
  export function setMaxListeners(most: number, target: AbortSignal): void;
}
declare module "node:http" {
  export interface IncomingHttpHeaders {
    [name: string]: string | string[] | undefined;
  }
  export interface IncomingMessage extends AsyncIterable<Uint8Array> {
    readonly statusCode?: number;
    readonly headers: IncomingHttpHeaders;
    readonly socket: { ref(): void; unref(): void };
    on(event: "data", listener: (chunk: Uint8Array) => void): this;
    on(event: "end" | "close", listener: () => void): this;
    on(event: "error", listener: (error: Error) => void): this;
  }
  export interface ClientRequest {
    readonly destroyed: boolean;
    readonly writableEnded: boolean;
    on(event: "error", listener: (error: Error) => void): this;
    on(event: "continue" | "response" | "close", listener: () => void): this;
    flushHeaders(): void;
    write(text: string): boolean;
    end(body?: string | Uint8Array): this;
    destroy(error?: unknown): this;
  }
  export interface AgentOptions {
    keepAlive: boolean;
    scheduling: "lifo" | "fifo";
    timeout: number;
  }
  interface Socket {
    on(event: "error", listener: (error: Error) => void): this;
  }
  export class Agent {
    constructor(options: AgentOptions);
    createConnection(...given: unknown[]): Socket;
  }
  export interface RequestOptions {
    agent: Agent;
    hostname: string;
    port: string;
    method: string;
    path: string;
    headers: string[];
  }
  export function request(options: RequestOptions, answered: (answer: IncomingMessage) => void): ClientRequest;
}
declare module "node:https" {
  export { Agent, request } from "node:http";
}
