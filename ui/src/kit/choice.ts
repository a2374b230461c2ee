/** The choice of that word, or the usual one when there is none of it. */
export function chosen<T extends string>(
  choices: readonly { readonly id: T }[],
  word: string | undefined,
  usual: T,
): T {
  return choices.find((one) => one.id === word)?.id ?? usual;
}
