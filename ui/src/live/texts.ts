// What models write, put together from the pieces that come over the socket. Pure.
import type { TextDelta } from "./frames";

/** Texts of the newest attempt, by part; `bytes` is the length in UTF-8. */
export type Texts = { attempt: number; parts: { text: string; bytes: number }[] };

export const NO_TEXTS: Texts = { attempt: 0, parts: [] };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Adds a piece to a part. What is there already is not added again; a hole is marked. */
function added(part: { text: string; bytes: number }, delta: TextDelta): { text: string; bytes: number } {
  const piece = encoder.encode(delta.text);
  if (delta.offset > part.bytes) {
    return { text: `${part.text} [...] ${delta.text}`, bytes: delta.offset + piece.length };
  }
  const known = part.bytes - delta.offset;
  if (known >= piece.length) return part;
  return { text: part.text + decoder.decode(piece.subarray(known)), bytes: delta.offset + piece.length };
}

/** The texts after more pieces. A later attempt begins anew; pieces of an earlier one are passed over. */
export function withTexts(was: Texts, deltas: readonly TextDelta[]): Texts {
  let now = was;
  for (const delta of deltas) {
    if (delta.attempt < now.attempt) continue;
    if (delta.attempt > now.attempt) now = { attempt: delta.attempt, parts: [] };
    const parts = [...now.parts];
    while (parts.length <= delta.part) parts.push({ text: "", bytes: 0 });
    parts[delta.part] = added(parts[delta.part] ?? { text: "", bytes: 0 }, delta);
    now = { ...now, parts };
  }
  return now;
}

export function wholeText(texts: Texts): string {
  return texts.parts
    .map((part) => part.text)
    .filter(Boolean)
    .join("\n\n");
}
