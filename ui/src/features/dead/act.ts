/** An action on several dead letters. */
export type Act = { action: "retry" | "discard"; ids: string[]; group: string };
