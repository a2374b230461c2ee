// The routes of the server and the shapes that pages work with.
import type { components } from "./schema";

export * from "./contract";
export type Schema<N extends keyof components["schemas"]> = components["schemas"][N];
export type Worker = Schema<"Worker">;
export type Version = Schema<"Version">;
export type ModelCall = Schema<"ModelCall">;
export type TaskError = Schema<"TaskError">;
export type Approval = Schema<"Approval">;
