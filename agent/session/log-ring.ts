import type { LogLine } from "#proto/gen/muster/v1/session.ts";

/** Lines that wait to be sent: the newest, and how many went before anybody took them. */
export interface LogRing {
  add(line: LogLine): void;
  /** Takes out at most `count` lines, the oldest first; where lines were lost, a line says how many. */
  take(count: number, nowMs: number): LogLine[];
  isEmpty(): boolean;
}

/** As the controller keeps it at most. */
const MAX_TEXT = 500;

export function openLogRing(capacity: number): LogRing {
  let lines: LogLine[] = [];
  let lost = 0;
  return {
    add: (line) => {
      lines.push(line.text.length > MAX_TEXT ? { ...line, text: line.text.slice(0, MAX_TEXT) } : line);
      if (lines.length <= capacity) return;
      lines.shift();
      lost += 1;
    },
    take: (count, nowMs) => {
      const notice =
        lost === 0
          ? []
          : [
              {
                atMs: lines[0]?.atMs ?? nowMs,
                source: "agent",
                text: `${lost} lines before this were lost: nobody took them`,
              },
            ];
      lost = 0;
      const taken = [...notice, ...lines.slice(0, count)];
      lines = lines.slice(count);
      return taken;
    },
    isEmpty: () => lines.length + lost === 0,
  };
}
