// Paths of steps: names joined by dots, items and turns in brackets, handlers with what they handle in parentheses.

/** The path one level up, and the part that is added: `a.b[3]` is `[3]` of `a.b`, which is `b` of `a`. */
export function split(path: string): { parent: string; part: string } {
  let depth = 0;
  for (let at = path.length - 1; at >= 0; at -= 1) {
    const one = path[at];
    if (one === ")" || one === "]") depth += 1;
    else if (one === "(") depth -= 1;
    else if (one === "[") {
      depth -= 1;
      if (depth === 0 && path.endsWith("]")) return { parent: path.slice(0, at), part: path.slice(at) };
    } else if (one === "." && depth === 0) return { parent: path.slice(0, at), part: path.slice(at + 1) };
  }
  return { parent: "", part: path };
}

/** The number of an item or turn, as in `classify[17]`; null for other paths. */
export function indexOf(path: string): number | null {
  const match = /\[(\d+)\]$/.exec(path);
  return match ? Number(match[1]) : null;
}

/** The step of the outermost block that holds a path: the one from which the run can be repeated. */
export function outermost(path: string): string {
  let at = path;
  for (let up = split(at).parent; up !== ""; up = split(at).parent) at = up;
  return at;
}

/** The item that a path is inside of, with its holder: `a[3].b` is inside of item 3 of `a`. Innermost first. */
export function itemsAbove(path: string): { holder: string; index: number }[] {
  const found: { holder: string; index: number }[] = [];
  for (let at = path; at !== ""; ) {
    const { parent } = split(at);
    const index = indexOf(at);
    if (index !== null) found.push({ holder: parent, index });
    at = parent;
  }
  return found;
}
