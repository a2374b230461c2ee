// The rules of the page Try, without React.

import { controlOf, resolve, type Schema } from "../../kit/schema";
import type { Recipe } from "../../kit/snippets";
import { python, shell } from "../../kit/snippets";

/** A text for a first try; it has a subject, a mood and some figures. */
export const SAMPLE =
  "The reading room of the town library stays open until ten since April. Visitors like it: evening loans rose by " +
  "18 per cent, and 7 of 10 who were asked call the new lamps a relief. The heating is still too loud, and two of " +
  "the six tables are worn. The council decides on the 12th of May whether 4,200 euros are spent on both.";

export type Options = {
  priority: string;
  delay: string;
  timeout: string;
  limit: string;
  queue: string;
};

export const NO_OPTIONS: Options = { priority: "", delay: "", timeout: "", limit: "", queue: "" };

/** The field that takes a long text, as a paste or a file fills it. */
export function textField(schema: Schema | undefined): string | null {
  const root = schema ?? {};
  const entries = Object.entries(resolve(root, root).properties ?? {}).map(
    ([name, raw]) => [name, controlOf(name, resolve(raw, root))] as const,
  );
  const area = entries.find(([, control]) => control === "area");
  if (area) return area[0];
  return entries.find(([name, control]) => name === "text" && control === "text")?.[0] ?? null;
}

/**
 * The input for another worker: what its schema knows of the fields given. A worker whose long text has another name
 * gets the text under that name.
 */
export function inputFor(schema: Schema | undefined, from: Schema | undefined, given: unknown): unknown {
  if (!schema || typeof given !== "object" || given === null) return given;
  const known = resolve(schema, schema).properties;
  if (!known) return given;
  const fields = given as Record<string, unknown>;
  const input = Object.fromEntries(Object.entries(fields).filter(([name]) => name in known));
  const [here, there] = [textField(from), textField(schema)];
  if (here && there && input[there] === undefined && fields[here] !== undefined) input[there] = fields[here];
  return input;
}

export type Body = {
  worker: string;
  input: unknown;
  priority: number;
  delay_ms: number;
  timeout_ms?: number;
  max_cost_nanousd?: number;
  queue?: string;
};

/** What is wrong with the options, by name. */
export function optionFaults(options: Options): Partial<Record<keyof Options, string>> {
  const found: Partial<Record<keyof Options, string>> = {};
  const number = (name: keyof Options, least: number, most: number, whole: boolean): void => {
    const text = options[name].trim();
    if (!text) return;
    const value = Number(text);
    if (!Number.isFinite(value) || (whole && !Number.isInteger(value)) || value < least || value > most) {
      found[name] = `Expected ${whole ? "a whole number" : "a number"} from ${least} to ${most}.`;
    }
  };
  number("priority", -100, 100, true);
  number("delay", 0, 31_536_000, false);
  number("timeout", 0.001, 604_800, false);
  number("limit", 0, 1_000_000, false);
  return found;
}

export function bodyOf(worker: string, input: unknown, options: Options): Body {
  const priority = Number(options.priority.trim());
  const body: Body = { worker, input, priority, delay_ms: Math.round(Number(options.delay.trim()) * 1_000) };
  if (options.timeout.trim()) body.timeout_ms = Math.round(Number(options.timeout) * 1_000);
  if (options.limit.trim()) body.max_cost_nanousd = Math.round(Number(options.limit) * 1e9);
  if (options.queue.trim()) body.queue = options.queue.trim();
  return body;
}

/** The task as a line of each language; what has its usual value is left out. */
export function recipeOf(body: Body): Recipe {
  const { worker, input, priority, delay_ms, timeout_ms, max_cost_nanousd, queue } = body;
  const json = JSON.stringify(input ?? {});
  const flags = [
    priority ? ` --priority=${priority}` : "",
    delay_ms ? ` --delay ${delay_ms}ms` : "",
    timeout_ms ? ` --timeout ${timeout_ms}ms` : "",
    queue ? ` --queue ${shell(queue)}` : "",
  ].join("");
  const named: [string, string, string][] = [];
  if (priority) named.push(["priority", "priority", String(priority)]);
  if (max_cost_nanousd !== undefined) named.push(["max_cost_nanousd", "maxCostNanousd", String(max_cost_nanousd)]);
  if (queue) named.push(["queue", "queue", JSON.stringify(queue)]);
  const keywords = named.map(([name, , value]) => `, ${name}=${value}`);
  const fields = named.map(([, name, value]) => `${name}: ${value}`);
  for (const [name, ms] of [["delay", delay_ms] as const, ["timeout", timeout_ms] as const]) {
    if (!ms) continue;
    keywords.push(`, ${name}=${ms / 1_000}`);
    fields.push(`${name}Ms: ${ms}`);
  }
  const options = fields.length > 0 ? `, { ${fields.join(", ")} }` : "";
  return {
    method: "POST",
    path: "/api/v1/tasks?wait_ms=30000",
    body: {
      worker,
      input,
      ...(priority ? { priority } : {}),
      ...(delay_ms ? { delay_ms } : {}),
      ...(timeout_ms ? { timeout_ms } : {}),
      ...(max_cost_nanousd === undefined ? {} : { max_cost_nanousd }),
      ...(queue ? { queue } : {}),
    },
    cli: `submit ${shell(worker)} --input ${shell(json)}${flags} --wait`,
    python: `task = client.tasks.submit(${JSON.stringify(worker)}, ${python(input ?? {})}${keywords.join("")})\nprint(client.tasks.wait(task).output)`,
    typescript: `const task = await client.tasks.submit(${JSON.stringify(worker)}, ${json}${options});\nconsole.log((await client.tasks.wait(task)).output);`,
  };
}
