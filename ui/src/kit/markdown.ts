// The little of Markdown that reports use, as data. Nothing of it is ever read as HTML.

export type Inline = { text: string; bold?: boolean; italic?: boolean; code?: boolean };
export type Block =
  | { kind: "heading"; level: number; inline: Inline[] }
  | { kind: "paragraph"; inline: Inline[] }
  | { kind: "list"; ordered: boolean; items: Inline[][] }
  | { kind: "table"; head: Inline[][]; rows: Inline[][][] }
  | { kind: "code"; text: string }
  | { kind: "rule" };

/** Bold, italic and code within a line; anything else is text. */
export function inlineOf(line: string): Inline[] {
  const found: Inline[] = [];
  const marks = /(`+)([^`]+?)\1|\*\*([^*]+?)\*\*|\*([^*\s][^*]*?)\*|\\([\\`*_|#[\]<>(){}.!+-])/g;
  let at = 0;
  const push = (inline: Inline): void => {
    const last = found.at(-1);
    if (last && !inline.bold && !inline.italic && !inline.code && !last.bold && !last.italic && !last.code)
      last.text += inline.text;
    else if (inline.text) found.push(inline);
  };
  for (const match of line.matchAll(marks)) {
    push({ text: line.slice(at, match.index) });
    if (match[2] !== undefined) push({ text: match[2], code: true });
    else if (match[3] !== undefined) push({ text: match[3], bold: true });
    else if (match[4] !== undefined) push({ text: match[4], italic: true });
    else push({ text: match[5] ?? "" });
    at = match.index + match[0].length;
  }
  push({ text: line.slice(at) });
  return found;
}

function cells(line: string): Inline[][] {
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => inlineOf(cell.trim()));
}

const LIST = /^\s*(?:[-*+]|(\d+)[.)])\s+(.*)$/;
const TABLE = /^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$/;

/** The blocks of a text. Every text has some reading: what is no mark is a paragraph. */
export function parse(text: string): Block[] {
  const lines = text.replaceAll("\r", "").split("\n");
  const blocks: Block[] = [];
  let at = 0;
  const next = (): string => lines[at] ?? "";
  while (at < lines.length) {
    const line = next();
    const heading = /^(#{1,6})\s+(.*)$/.exec(line);
    if (line.trim() === "") at += 1;
    else if (heading) {
      blocks.push({ kind: "heading", level: heading[1]?.length ?? 1, inline: inlineOf(heading[2] ?? "") });
      at += 1;
    } else if (/^\s*(```|~~~)/.test(line)) {
      const fence = line.trim().slice(0, 3);
      const body: string[] = [];
      for (at += 1; at < lines.length && !next().trim().startsWith(fence); at += 1) body.push(next());
      at += 1;
      blocks.push({ kind: "code", text: body.join("\n") });
    } else if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(line)) {
      blocks.push({ kind: "rule" });
      at += 1;
    } else if (line.includes("|") && TABLE.test(lines[at + 1] ?? "")) {
      const head = cells(line);
      const rows: Inline[][][] = [];
      for (at += 2; at < lines.length && next().includes("|") && next().trim() !== ""; at += 1)
        rows.push(cells(next()));
      blocks.push({ kind: "table", head, rows });
    } else if (LIST.test(line)) {
      const items: Inline[][] = [];
      const ordered = LIST.exec(line)?.[1] !== undefined;
      for (let match = LIST.exec(next()); match; match = LIST.exec(next())) {
        items.push(inlineOf(match[2] ?? ""));
        at += 1;
        if (at >= lines.length) break;
      }
      blocks.push({ kind: "list", ordered, items });
    } else {
      const body: string[] = [];
      for (
        ;
        at < lines.length &&
        next().trim() !== "" &&
        !/^#{1,6}\s|^\s*(```|~~~)/.test(next()) &&
        !(body.length > 0 && LIST.test(next()));
        at += 1
      )
        body.push(next());
      blocks.push({ kind: "paragraph", inline: inlineOf(body.join("\n")) });
    }
  }
  return blocks;
}
