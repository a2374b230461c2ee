import { useEffect, useState } from "react";
import { reread } from "../api/query";
import { NO_TEXTS, wholeText, withTexts } from "./texts";
import { useTopic } from "./use-live";

/** What models write for a task, as it comes; the task is read again when something of it changes. */
export function useTaskTexts(id: string | null): string {
  const [texts, setTexts] = useState(NO_TEXTS);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another task begins without a text
  useEffect(() => setTexts(NO_TEXTS), [id]);
  useTopic(id ? `task:${id}` : null, (frames) => {
    const deltas = frames.flatMap((frame) => frame.texts ?? []);
    if (deltas.length > 0) setTexts((was) => withTexts(was, deltas));
    if (frames.some((frame) => frame.tasks || frame.resync)) reread("/api/v1/tasks/{id}", "/api/v1/tasks/{id}/explain");
  });
  return wholeText(texts);
}
