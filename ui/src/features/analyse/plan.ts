// The workflow behind an analysis: each ticked worker over one text, and a report. Pure.
import type { Schema } from "../../kit/schema";

export type Candidate = { name: string; description: string; extra: Schema; needs: string[] };
export type Choice = { worker: string; options: Record<string, unknown> };

/** Workers that are no analysis although they take a text. */
const NOT = new Set(["extract_text", "report", "log"]);

type Worker = { name: string; description?: string; input?: unknown };

/** The workers that can be asked with a text; what else they want is their options. */
export function candidates(workers: readonly Worker[]): Candidate[] {
  return workers.flatMap((worker): Candidate[] => {
    const schema = (worker.input ?? {}) as Schema;
    const text = schema.properties?.text;
    if (!text || NOT.has(worker.name)) return [];
    if (text.type !== undefined && text.type !== "string") return [];
    const { text: _, ...rest } = schema.properties ?? {};
    const required = (schema.required ?? []).filter((name) => name !== "text");
    const needs = required.filter((name) => rest[name]?.default === undefined);
    return [
      {
        name: worker.name,
        description: worker.description ?? "",
        extra: { ...schema, properties: rest, required },
        needs,
      },
    ];
  });
}

/** The name of a step for a worker: letters, digits and `_`, none twice. */
export function stepNames(workers: readonly string[]): Map<string, string> {
  const taken = new Set(["read", "report"]);
  const names = new Map<string, string>();
  for (const worker of workers) {
    const base = worker.replaceAll(/[^A-Za-z0-9_]+/g, "_").replace(/^([^A-Za-z])/, "w_$1") || "worker";
    let name = base;
    for (let number = 2; taken.has(name); number += 1) name = `${base}_${number}`;
    taken.add(name);
    names.set(worker, name);
  }
  return names;
}

const text = (value: unknown): string => JSON.stringify(value);

/** A value of an option; braces of expressions in it stay text. */
function literal(value: unknown): string {
  return text(value).replaceAll("${{", "${{ '${{' }}");
}

/** The definition, as YAML. Scalars are written as JSON, which YAML can read. */
export function definition(name: string, choices: readonly Choice[], isFile: boolean): string {
  const names = stepNames(choices.map((choice) => choice.worker));
  const step = (worker: string): string => names.get(worker) ?? worker;
  const source = isFile ? "steps.read.output.text" : "inputs.text";
  const input = isFile ? "document: { type: object, format: file }" : "text: { type: string, minLength: 1 }";
  const lines = [
    `name: ${text(name)}`,
    `description: ${text(`${choices.length} workers over one ${isFile ? "document" : "text"}, and a report`)}`,
    "inputs:",
    "  type: object",
    `  required: [${isFile ? "document" : "text"}]`,
    "  properties:",
    `    ${input}`,
    "steps:",
  ];
  if (isFile) lines.push("  read:", "    worker: extract_text", '    with: { document: "${{ inputs.document }}" }');
  for (const { worker, options } of choices) {
    const fields = [
      `text: "\${{ ${source} }}"`,
      ...Object.entries(options).map(([key, value]) => `${text(key)}: ${literal(value)}`),
    ];
    lines.push(`  ${step(worker)}:`);
    if (isFile) lines.push("    needs: [read]");
    lines.push(`    worker: ${text(worker)}`, `    with: { ${fields.join(", ")} }`, "    on_error: continue");
  }
  lines.push(
    "  report:",
    `    needs: [${choices.map((choice) => step(choice.worker)).join(", ")}]`,
    "    worker: report",
    "    with:",
  );
  lines.push(`      title: ${isFile ? '"Analysis of ${{ inputs.document.name }}"' : '"Analysis"'}`, "      sections:");
  for (const { worker } of choices) {
    const one = `steps.${step(worker)}`;
    lines.push(
      `        - title: ${text(title(worker))}`,
      `          value: "\${{ ${one}.output if ${one}.state == 'succeeded' else 'No answer. ' ~ ${one}.error }}"`,
      `          note: "\${{ 'Answered by a classical method, not by a model: ' ~ ${one}.degraded ~ '.' if ${one}.degraded else none }}"`,
    );
  }
  lines.push("outputs:", '  report: "${{ steps.report.output.markdown }}"', "");
  return lines.join("\n");
}

/** The name of a worker for people: `sentiment_analyzer` becomes `Sentiment analyzer`. */
export function title(worker: string): string {
  const words = worker.replaceAll(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export type Outcome = { took: number | null; cost: number };

/** One sentence about both ways. */
export function compare(
  parallel: Outcome | null,
  sequence: Outcome | null,
  tell: { time: (ms: number) => string; money: (nano: number) => string },
): string {
  if (!parallel || !sequence || parallel.took === null || sequence.took === null) return "";
  const ratio = sequence.took / Math.max(1, parallel.took);
  const speed =
    ratio >= 1.05
      ? `${ratio.toFixed(1)} times as fast in parallel`
      : ratio <= 0.95
        ? `${(1 / ratio).toFixed(1)} times as fast in sequence`
        : "equally fast";
  const change = parallel.cost - sequence.cost;
  const price =
    change === 0
      ? `for the same money (${tell.money(parallel.cost)})`
      : `${tell.money(Math.abs(change))} ${change > 0 ? "more" : "less"} in parallel`;
  return `${tell.time(parallel.took)} in parallel, ${tell.time(sequence.took)} in sequence: ${speed}, ${price}.`;
}

/** A value in a few words: names with their values, one a line, lists joined. */
export function gist(value: unknown, deep = 0): string {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) {
    const items = value.slice(0, 8).map((one) => gist(one, deep + 1));
    return items.join(items.some((one) => one.length > 40) ? "\n" : ", ");
  }
  if (typeof value === "object") {
    return Object.entries(value)
      .map(([name, one]) => `${name.replaceAll("_", " ")}: ${gist(one, deep + 1)}`)
      .join(deep === 0 ? "\n" : "; ");
  }
  return String(value);
}
