import { Sparkles } from "lucide-react";
import { useState } from "react";
import { api, once, unwrap } from "../../api/client";
import { read } from "../../api/query";
import { Button } from "../../kit/button";
import { FileDrop } from "../../kit/fields";
import { visible } from "../../kit/format";
import { ErrorBox } from "../../kit/said";
import { upload } from "../../kit/schema-form";
import { SAMPLE } from "./model";
import css from "./try.module.css";

const PLAIN = /\.(txt|md|markdown|csv|tsv|json|ya?ml|xml|log|py|js|ts|rs|html?)$/i;
const WAIT_MS = 20_000;

/** The text of a file: plain text is read here, a document by the worker `extract_text`. */
async function textOf(file: File): Promise<string> {
  if (file.type.startsWith("text/") || PLAIN.test(file.name)) {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    } catch {
      // Another encoding than UTF-8: the worker tells which.
    }
  }
  const document = await upload(file);
  const { id } = await unwrap(
    api.POST("/api/v1/tasks", {
      body: { worker: "extract_text", input: { document }, priority: 0, delay_ms: 0 },
      headers: { "idempotency-key": once() },
    }),
  );
  const task = await read("/api/v1/tasks/{id}", { params: { path: { id }, query: { wait_ms: WAIT_MS } } });
  const output = task.output as { text?: string } | null | undefined;
  if (typeof output?.text === "string") return output.text;
  throw new Error(task.error?.message ?? `${id} has not read the file within ${WAIT_MS / 1_000} s; see its page.`);
}

/** Fills the long text of a form from a file, or with a sample. */
export function TextSource({ onText }: { onText: (text: string) => void }) {
  const [busy, setBusy] = useState("");
  const [error, setError] = useState<unknown>(null);
  const take = async (file: File): Promise<void> => {
    setBusy(file.name);
    setError(null);
    try {
      onText(await textOf(file));
    } catch (refused) {
      setError(refused);
    }
    setBusy("");
  };
  return (
    <>
      <div className={css.source}>
        <FileDrop label={busy ? `Reading ${visible(busy)}` : "Text from a file"} onFile={(file) => void take(file)} />
        <Button icon={Sparkles} onClick={() => onText(SAMPLE)}>
          Sample text
        </Button>
      </div>
      {error != null && <ErrorBox error={error} what="Reading the file" />}
    </>
  );
}
