import type { LogLine } from "#proto/gen/muster/v1/session.ts";

/** "[   12.345] muster: text", as openConsole writes it. */
const CONSOLE_LINE = /^\[\s*(\d+\.\d+)\] muster: (.*)$/;

/** What the boot said on the console, as lines to be sent. `startedMs`: when the kernel started, by the clock of now. */
export function parseBootLog(text: string, startedMs: number): readonly LogLine[] {
  return text.split("\n").flatMap((line) => {
    const [, seconds, said] = CONSOLE_LINE.exec(line) ?? [];
    if (seconds === undefined || said === undefined) return [];
    return [{ atMs: Math.round(startedMs + Number(seconds) * 1000), source: "boot", text: said }];
  });
}
