/** The choices of a filter by time, and the moment that each stands for. */
export const SINCE = [
  { value: "", label: "any time" },
  { value: "1h", label: "the last hour" },
  { value: "24h", label: "the last day" },
  { value: "7d", label: "the last 7 days" },
  { value: "30d", label: "the last 30 days" },
];

const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** RFC 3339 of a choice such as `24h`, on a whole minute so that it stays equal while a page is open. */
export function sinceTime(choice: string | undefined, now = Date.now()): string | undefined {
  const match = /^(\d+)([mhd])$/.exec(choice ?? "");
  const unit = UNITS[match?.[2] ?? ""];
  if (!match || !unit) return undefined;
  return new Date(Math.floor((now - Number(match[1]) * unit) / 60_000) * 60_000).toISOString();
}
