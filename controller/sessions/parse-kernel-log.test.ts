import { expect, test } from "vitest";

import { parseKernelLog } from "./parse-kernel-log.ts";

test("lines have the times of the kernel; one that carries none has that of the line before it", () => {
  const startedAt = new Date("2026-11-20T12:00:00Z");
  const text =
    "before\n[    0.000000] Linux version 6.1\n[   12.345678] panic\n  more of it\n<3>[   13.5] end\n\n";
  expect(parseKernelLog(text, startedAt)).toEqual([
    { at: startedAt, text: "before" },
    { at: startedAt, text: "Linux version 6.1" },
    { at: new Date("2026-11-20T12:00:12.346Z"), text: "panic" },
    { at: new Date("2026-11-20T12:00:12.346Z"), text: "  more of it" },
    { at: new Date("2026-11-20T12:00:13.500Z"), text: "end" },
  ]);
});
