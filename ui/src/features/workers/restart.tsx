import { RotateCcw } from "lucide-react";
import { api, unwrap } from "../../api/client";
import { useAct } from "../../kit/act";
import { Button } from "../../kit/button";
import { visible } from "../../kit/format";
import type { Script } from "./model";

/** What shows scripts and their processes, and is read again after an act on one. */
export const READ = ["/api/v1/scripts", "/api/v1/workers/status"] as const;

/** Restarts the processes of a script; nothing where it has none. */
export function Restart({ script, small }: { script: Script; small?: boolean }) {
  const { busy, act } = useAct(...READ);
  if (script.standing !== "started") return null;
  const restart = () =>
    unwrap(
      api.POST("/api/v1/scripts/{id}/restart", {
        params: { path: { id: script.id } },
        body: { reason: "by hand, in the console" },
      }),
    );
  return (
    <Button
      small={small}
      may="operate"
      icon={RotateCcw}
      busy={busy !== null}
      onClick={() => void act("restart", restart, `${visible(script.name)} is restarted`)}
    >
      Restart
    </Button>
  );
}
