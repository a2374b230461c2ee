/** A host's registration, repeated after a restart of the server. */

import { Problem } from "./errors.js";
import type { Json } from "./model.js";
import type { Place } from "./place.js";
import { pause, send } from "./wire.js";

/** Result of a registration. */
export interface Joined {
  id: string;
  beatMs: number;
}

/** Longest interval between heartbeats, and so the delay of a cancellation where there is no stream. */
const BEAT_MS = 2_000;
const AGAIN_MS = 1_000;

/** Registers a host. Throws Problem when the server refuses it. */
export async function register(place: Place, introduction: Json, signal?: AbortSignal): Promise<Joined> {
  const read = (raw: Json): Joined => ({ id: raw.id, beatMs: Math.min(BEAT_MS, raw.heartbeat_ms) });
  return send(place, { method: "POST", path: "/api/v1/hosts", body: introduction, read }, signal);
}

/** Registers, and waits for an unreachable server until `signal` is raised: then undefined. */
export async function join(
  place: Place, introduction: Json, signal: AbortSignal, log: (message: string) => void,
): Promise<Joined | undefined> {
  for (let told = false; !signal.aborted; told = true) {
    try {
      return await register(place, introduction, signal);
    } catch (error) {
      if (error instanceof Problem && ![408, 429, 503].includes(error.status)) throw error;
      if (!told && !signal.aborted) log(`waiting for the server: ${error instanceof Error ? error.message : String(error)}`);
      await pause(AGAIN_MS, signal);
    }
  }
  return undefined;
}
