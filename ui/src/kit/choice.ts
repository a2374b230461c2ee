// Choices with their names, as tabs and filters have them. Pure.

export type Choice<T extends string> = { readonly id: T; readonly name: string };

/** Choices from their words and names, in their order. */
export function choices<const T extends string>(named: Readonly<Record<T, string>>): readonly Choice<T>[] {
  return (Object.entries(named) as [T, string][]).map(([id, name]) => ({ id, name }));
}

/** The choice of that word, or the usual one when there is none of it. */
export function chosen<T extends string>(
  choices: readonly { readonly id: T }[],
  word: string | undefined,
  usual: T,
): T {
  return choices.find((one) => one.id === word)?.id ?? usual;
}
