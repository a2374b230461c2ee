/** An answer with where it came from. */

import type { Json } from "./model.js";

/** Where an answer came from. */
export interface Provenance {
  provider?: string;
  model?: string;
  /** The answer is poorer than was asked for, and why. */
  degradedReason?: string;
  /** The input was cut to fit. */
  truncated?: boolean;
  calls?: number;
  inputTokens?: number;
  outputTokens?: number;
  costNanousd?: number;
}

/** What a worker's function may return instead of a plain value, to say where the answer came from. */
export class Output {
  constructor(
    readonly value: Json,
    readonly from: Provenance = {},
  ) {}

  /** Where it came from, as it travels. */
  provenance(): Record<string, Json> {
    const { from } = this;
    return {
      provider: from.provider ?? null,
      model: from.model ?? null,
      degraded: from.degradedReason !== undefined,
      degraded_reason: from.degradedReason ?? null,
      truncated: from.truncated ?? false,
      calls: from.calls ?? 0,
      input_tokens: from.inputTokens ?? 0,
      output_tokens: from.outputTokens ?? 0,
      cost_nanousd: from.costNanousd ?? 0,
    };
  }
}
