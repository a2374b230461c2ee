/** An answer with its origin. */

import type { Json } from "./model.js";

/** Origin of an answer. */
export interface Provenance {
  provider?: string;
  model?: string;
  /** Reason why the answer is poorer than requested. */
  degradedReason?: string;
  /** Whether the input was cut. */
  truncated?: boolean;
  calls?: number;
  inputTokens?: number;
  outputTokens?: number;
  costNanousd?: number;
}

/** Return value of a worker's function that adds the origin of the answer. */
export class Output {
  constructor(
    readonly value: Json,
    readonly from: Provenance = {},
  ) {}

  /** Returns the origin in wire form. */
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
