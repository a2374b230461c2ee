import { CloudUpload } from "lucide-react";
import { lazy, Suspense, useEffect, useState } from "react";
import { ApiError, api, unwrap } from "../../api/client";
import type { Checked } from "../../api/paths";
import { reread } from "../../api/query";
import { useAct } from "../../kit/act";
import { Button, RoleNote } from "../../kit/button";
import { visible } from "../../kit/format";
import { Card, Grow, Toolbar } from "../../kit/page";
import { ErrorBox, Loading, Notice } from "../../kit/said";
import css from "./workflows.module.css";

const Editor = lazy(() => import("./editor"));
const GraphView = lazy(() => import("../runs/graph"));

/** Checks a definition as it is typed, after a short rest. */
function useChecked(source: string): { checked: Checked | null; error: unknown } {
  const [checked, setChecked] = useState<Checked | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(() => {
      unwrap(api.POST("/api/v1/workflows/check", { body: { source } })).then(
        (answer) => {
          if (gone) return;
          setChecked(answer);
          setError(null);
        },
        (refused) => !gone && setError(refused),
      );
    }, 350);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [source]);
  return { checked, error };
}

/** A definition with its problems at their lines, and what it looks like as a graph. */
export function Source({
  source: given,
  file,
  onPublished,
}: {
  source: string;
  file?: string;
  onPublished: (name: string) => void;
}) {
  const [source, setSource] = useState(given);
  const { checked, error } = useChecked(source);
  const { busy, act } = useAct();
  useEffect(() => setSource(given), [given]);
  const problems = checked?.problems ?? [];
  const publish = async (): Promise<void> => {
    const version = await unwrap(api.POST("/api/v1/workflows", { body: { source, ...(file ? { file } : {}) } }));
    reread("/api/v1/workflows/catalog", "/api/v1/workflows/{name}", "/api/v1/workflows/{name}/{number}/graph");
    onPublished(version.workflow);
  };
  return (
    <div className={css.source}>
      <Toolbar>
        {checked?.ok && source !== given && (
          <span className="muted">
            It is valid. Publishing makes it the newest version; runs under way stay on theirs.
          </span>
        )}
        {checked?.ok && source === given && <span className="muted">It is valid.</span>}
        {problems.length > 0 && <span className="muted">{problems.length} problems</span>}
        <Grow />
        <RoleNote may="submit" to="publish versions" />
        {source !== given && (
          <Button small onClick={() => setSource(given)}>
            Undo all
          </Button>
        )}
        <Button
          may="submit"
          kind="primary"
          icon={CloudUpload}
          busy={busy === "publish"}
          disabled={source === given || checked?.ok === false}
          onClick={() => void act("publish", publish, "Published as the newest version")}
        >
          Publish
        </Button>
      </Toolbar>
      {error != null && !(error instanceof ApiError && error.isMissing) && <ErrorBox error={error} />}
      {problems.length > 0 && (
        <Notice tone="bad">
          <ul className={css.problems}>
            {problems.map((one) => (
              <li key={`${one.line}.${one.column} ${one.message}`}>
                <span className="num">
                  line {one.line}, column {one.column}
                </span>
                <span>
                  {visible(one.message)} {one.hint && <span className={css.hint}>{visible(one.hint)}</span>}
                </span>
              </li>
            ))}
          </ul>
        </Notice>
      )}
      <Suspense fallback={<Loading what="the editor" />}>
        <Editor label="Definition" value={source} onChange={setSource} problems={problems} />
      </Suspense>
      {checked?.graph && source !== given && (
        <Card title="As a graph" flush>
          <Suspense fallback={<Loading what="the graph" />}>
            <GraphView graph={checked.graph} />
          </Suspense>
        </Card>
      )}
    </div>
  );
}
