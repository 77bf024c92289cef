import { MusterError } from "#proto/contract/muster-error.ts";

const UNITS: Readonly<Record<string, number>> = {
  s: 1,
  sec: 1,
  second: 1,
  m: 60,
  min: 60,
  minute: 60,
  h: 3600,
  hour: 3600,
  d: 86_400,
  day: 86_400,
  w: 604_800,
  week: 604_800,
};

/**
 * A moment as people write it: "2 days ago", "90min ago", "yesterday", "yesterday 14:00", "2026-11-20", "2026-11-20 12:00",
 * "14:00" (of today), and ISO 8601. Without a zone it is local time, a date alone its midnight. `argument-invalid` for anything
 * else, and for what is yet to come.
 */
export function parseTime(text: string, now: Date): Date {
  const at = readTime(text.trim(), now);
  if (at === undefined || Number.isNaN(at.getTime())) {
    throw new MusterError({
      code: "argument-invalid",
      what: `${JSON.stringify(text)} is not a time`,
      fix: "for example '2 days ago', 'yesterday 14:00', '2026-11-20 12:00'",
    });
  }
  if (at.getTime() > now.getTime()) {
    throw new MusterError({
      code: "argument-invalid",
      what: `${JSON.stringify(text)} is yet to come`,
      fix: `it is ${now.toISOString()} now; times without a zone are local`,
    });
  }
  return at;
}

function readTime(text: string, now: Date): Date | undefined {
  if (text === "now") return now;
  const [, count, word] = /^(\d{1,9})\s*([a-z]+)\s+ago$/.exec(text) ?? [];
  if (count !== undefined && word !== undefined) {
    const unit = UNITS[word] ?? UNITS[word.replace(/s$/, "")];
    return unit === undefined ? undefined : new Date(now.getTime() - Number(count) * unit * 1000);
  }
  const [, day, clock] = /^(?:(today|yesterday)(?:\s+|$))?(\d{1,2}:\d{2}(?::\d{2})?)?$/.exec(text) ?? [];
  if (day !== undefined || clock !== undefined) return clockOf(now, day === "yesterday" ? 1 : 0, clock);
  const [, date, time = "00:00", zone = ""] =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?))?\s*(Z|[+-]\d{2}:?\d{2})?$/.exec(
      text,
    ) ?? [];
  if (date === undefined) return undefined;
  // a date alone would be read as UTC (ECMA-262, Date Time String Format)
  return new Date(`${date}T${time}${zone.replace(/^([+-]\d{2})(\d{2})$/, "$1:$2")}`);
}

function clockOf(now: Date, daysBack: number, clock = "00:00"): Date | undefined {
  const [hours = 0, minutes = 0, seconds = 0] = clock.split(":").map(Number);
  if (hours > 23 || minutes > 59 || seconds > 59) return undefined;
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() - daysBack, hours, minutes, seconds);
}
