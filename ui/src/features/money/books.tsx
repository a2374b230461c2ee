import { Scale } from "lucide-react";
import { type Data, useGet } from "../../api/query";
import { useSession } from "../../app/use-session";
import { money } from "../../kit/format";
import { Notice } from "../../kit/said";
import { balance, type Sum, sumOf } from "./model";
import css from "./money.module.css";

type Report = Data<"/api/v1/cost">;
const MOST = 1_000;

function useCost(by: string) {
  return useGet("/api/v1/cost", { params: { query: { by, limit: MOST } } }, { refetchInterval: 15_000 });
}

function sum(by: string, report: Report | undefined, only?: string): Sum[] {
  if (!report) return [];
  const rows = only ? report.rows.filter((row) => row.name === only) : report.rows;
  return [{ by, nanousd: sumOf(rows), whole: report.rows.length < MOST }];
}

/** Adds the spending up in several ways and says whether they agree. */
export function Books() {
  const { me } = useSession();
  const tenant = useCost("tenant");
  const day = useCost("day");
  const model = useCost("model");
  const all = [tenant, day, model];
  if (all.some((one) => one.data === undefined)) return null;
  const own =
    me && tenant.data?.rows.some((row) => row.name === `tenant ${me.tenant}`) ? `tenant ${me.tenant}` : undefined;
  const found = balance([...sum("tenant", tenant.data, own), ...sum("day", day.data), ...sum("model", model.data)]);
  const sums = found.sums.map((one) => (
    <span key={one.by}>
      by {one.by} {money(one.nanousd)}
      {!one.whole && " (first 1,000)"}
    </span>
  ));
  if (found.state === "balanced") {
    return (
      <Notice tone="good" icon={Scale}>
        The books balance: tenant, days and models each add up to {money(found.nanousd)}.
      </Notice>
    );
  }
  return (
    <Notice tone={found.state === "off" ? "bad" : "calm"} icon={Scale}>
      {found.state === "off"
        ? "The books do not balance at this moment; calls that settle between two reads can be the reason. It is checked again in 15 s."
        : "Too many rows to add everything up here."}
      <span className={css.sums}>{sums}</span>
    </Notice>
  );
}
