/** Address and token of the server. */

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { NoToken } from "./errors.js";

export const DEFAULT_URL = "http://127.0.0.1:7863";

/** A server and the token for it. */
export interface Place {
  readonly url: string;
  readonly token: string;
}

/** An error whose token is not logged. */
class Secret implements Place {
  readonly #token: string;

  constructor(
    readonly url: string,
    token: string,
  ) {
    this.#token = token;
  }

  get token(): string {
    return this.#token;
  }
}

/**
 * Finds the server and token: given, or of the environment.
 *
 * The address is `url`, else KAPELLE_URL, else that of the server of the folder, else http://127.0.0.1:7863. The
 * token is `token`, else KAPELLE_TOKEN, else, for a server on this machine alone, that of the folder. The folder is
 * KAPELLE_DATA, else the nearest `.kapelle`.
 */
export function find(url?: string, token?: string): Place {
  const address = url || process.env["KAPELLE_URL"] || ofFolder("address")?.split("\n")[0] || DEFAULT_URL;
  const parts = URL.canParse(address) ? new URL(address) : undefined;
  if (!parts || !/^https?:$/.test(parts.protocol)) {
    throw new RangeError(`url: \`${address}\` is not an address such as ${DEFAULT_URL}`);
  }
  if (parts.search || parts.hash || parts.username) {
    throw new RangeError(`url: \`${address}\` has more than scheme, host, port and path`);
  }
  const local = /^(localhost|127\.[0-9.]+|\[::1\])$/.test(parts.hostname);
  const found = token || process.env["KAPELLE_TOKEN"] || (local ? ofFolder("token") : undefined);
  if (!found) {
    const where = local
      ? "or work in the folder of the project: its server makes .kapelle/token when it is first started (`kapelle serve`)"
      : "`kapelle keys create` on its machine makes a key";
    throw new NoToken(`there is no token for ${address}: pass { token }, set KAPELLE_TOKEN, ${where}`);
  }
  if (!/^[!-~]+$/.test(found)) {
    throw new RangeError("token: it has characters that no token has (a line break, a space?)");
  }
  return new Secret(address.replace(/\/+$/, ""), found);
}

function ofFolder(file: string): string | undefined {
  const data = process.env["KAPELLE_DATA"];
  if (data) return read(join(data, file));
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    const text = read(join(folder, ".kapelle", file));
    if (text || folder === dirname(folder)) return text;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim() || undefined;
  } catch {
    return undefined;
  }
}
