// Numbers, times and money as text. Pure, so that tests can hold every rule.

/** Milliseconds as people read them: `340 ms`, `1.2 s`, `2 min 3 s`, `4 h 10 min`, `3 d 2 h`. */
export function duration(ms: number | null | undefined): string {
  if (ms == null || !Number.isFinite(ms)) return "–";
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(ms < 9_950 ? 1 : 0)} s`;
  const seconds = Math.round(ms / 1_000);
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor((seconds % 86_400) / 3_600), "h"],
    [Math.floor((seconds % 3_600) / 60), "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(" ");
}

/** Groups digits behind the point by three: `0.000012` becomes `0.000 012`. */
function grouped(digits: string): string {
  const [whole = "0", part = ""] = digits.split(".");
  if (part.length <= 4) return part ? `${whole}.${part}` : whole;
  return `${whole}.${part.replace(/(\d{3})(?=\d)/g, "$1\u202f")}`;
}

/** Nano-dollars as dollars. Zero is `$0`; anything else keeps at least two digits that are not zero. */
export function money(nanousd: number | null | undefined): string {
  if (nanousd == null || !Number.isFinite(nanousd)) return "unknown";
  if (nanousd === 0) return "$0";
  const sign = nanousd < 0 ? "-" : "";
  const nano = Math.abs(nanousd);
  const dollars = nano / 1e9;
  if (dollars >= 1) {
    return `${sign}$${dollars.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  }
  const fixed = (nano / 1e9).toFixed(9);
  const lead = fixed.slice(2).search(/[1-9]/);
  const keep = Math.min(9, Math.max(2, lead + 3));
  let text = Number(fixed).toFixed(keep);
  while (text.endsWith("0") && text.length > 4) text = text.slice(0, -1);
  return `${sign}$${grouped(text)}`;
}

/** Counts with separators, and short above a million: `12,345`, `1.2 M`. */
export function count(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 10_000_000) return `${(value / 1e6).toFixed(0)} M`;
  if (Math.abs(value) >= 1_000_000) return `${(value / 1e6).toFixed(1)} M`;
  return value.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

export function percent(share: number | null | undefined): string {
  if (share == null || !Number.isFinite(share)) return "–";
  const value = share * 100;
  if (value > 0 && value < 0.1) return "<0.1 %";
  return `${value < 10 && value % 1 !== 0 ? value.toFixed(1) : Math.round(value)} %`;
}

export function bytes(size: number | null | undefined): string {
  if (size == null || !Number.isFinite(size)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  let value = size;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

/** One noun with its number: `1 run`, `2 runs`. */
export function many(value: number, noun: string, nouns = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : nouns}`;
}

/** Control characters and those that turn the direction of text, made visible, so that output cannot disguise itself. */
export function visible(text: string): string {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g,
    (one) => (one === "\r" ? "" : `\\u{${one.codePointAt(0)?.toString(16)}}`),
  );
}

export function ago(ms: number): string {
  if (ms < 2_000) return "now";
  const units: [number, string][] = [
    [86_400_000, "d"],
    [3_600_000, "h"],
    [60_000, "min"],
    [1_000, "s"],
  ];
  const [size, unit] = units.find(([size]) => ms >= size) ?? [1_000, "s"];
  return `${Math.floor(ms / size)} ${unit} ago`;
}
