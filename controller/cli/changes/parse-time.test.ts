import { expect, it } from "vitest";

import { parseTime } from "./parse-time.ts";

const NOW = new Date(2026, 10, 20, 15, 30, 10, 500);

it.each([
  ["now", NOW],
  ["2 days ago", new Date(NOW.getTime() - 172_800_000)],
  ["1 week ago", new Date(NOW.getTime() - 604_800_000)],
  ["90min ago", new Date(NOW.getTime() - 5_400_000)],
  ["3 h ago", new Date(NOW.getTime() - 10_800_000)],
  ["today", new Date(2026, 10, 20)],
  ["yesterday", new Date(2026, 10, 19)],
  ["yesterday 14:05", new Date(2026, 10, 19, 14, 5)],
  ["9:00", new Date(2026, 10, 20, 9)],
  ["2026-11-19", new Date(2026, 10, 19)],
  ["2026-11-19 12:00", new Date(2026, 10, 19, 12)],
  ["2026-11-19T12:00:01.5Z", new Date("2026-11-19T12:00:01.500Z")],
  [" 2026-11-19 12:00:03Z ", new Date("2026-11-19T12:00:03Z")],
  ["2026-11-19 12:00+0100", new Date("2026-11-19T11:00:00Z")],
])("%s", (text, expected) => {
  expect(parseTime(text, NOW)).toEqual(expected);
});

it.each([
  ["", "is not a time"],
  ["2 fortnights ago", "is not a time"],
  ["25:00", "is not a time"],
  ["2026-13-01", "is not a time"],
  ["20.11.2026", "is not a time"],
  ["16:00", "is yet to come"],
  ["2027-01-01", "is yet to come"],
])("%s %s", (text, what) => {
  expect(() => parseTime(text, NOW)).toThrow(what);
});
