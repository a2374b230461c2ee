/** Parser of server-sent events, without a socket. */

import { Unreachable } from "./errors.js";

const LONGEST = 64 * 1024 * 1024;

/** An event as it was sent. */
export interface Frame {
  id: string;
  kind: string;
  data: string;
}

/** Takes bytes and returns complete frames. */
export class Parser {
  #decoder = new TextDecoder("utf-8");
  #rest = "";
  #id = "";
  #kind = "";
  #data: string[] = [];

  /** Returns the events that these bytes complete. */
  feed(chunk: Uint8Array): Frame[] {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > LONGEST) throw new Unreachable("the server sent an event without an end");
    return lines.map((line) => this.#line(line.replace(/\r$/, ""))).filter((frame) => frame !== undefined);
  }

  #line(line: string): Frame | undefined {
    if (!line) {
      const frame = { id: this.#id, kind: this.#kind || "message", data: this.#data.join("\n") };
      const complete = this.#data.length > 0;
      this.#data = [];
      this.#kind = "";
      return complete ? frame : undefined;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "id") this.#id = value;
    else if (name === "event") this.#kind = value;
    else if (name === "data") this.#data.push(value);
    return undefined;
  }
}
