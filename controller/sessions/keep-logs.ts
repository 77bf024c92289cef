import type { NodeName } from "#proto/contract/node-name.ts";
import type { LogLine as SentLine } from "#proto/gen/muster/v1/session.ts";

import type { LogHistory, LogLine } from "../events/log-history.ts";
import { parsePrintable } from "./parse-boot-report.ts";
import { fullLogBudget, type LogBudget, planLogLines } from "./plan-log-budget.ts";
import type { SessionListener } from "./serve-session.ts";

const MAX_TEXT = 500;
const SOURCES = ["boot", "agent", "reaction", "kernel"];
/** A node's clock that is off by more than this says nothing about when. */
const MAX_CLOCK_ERROR_MS = 366 * 86_400_000;

/**
 * Keeps what nodes say, for `muster node logs`: lines are cleaned and cut, and a node that says too much is not
 * listened to for a while, so that it neither fills the disk nor takes the place of others.
 */
export function keepLogs(parts: {
  readonly history: Pick<LogHistory, "recordLogs">;
  readonly now: () => Date;
}): SessionListener {
  const budgets = new Map<NodeName, LogBudget>();
  return {
    received: async ({ node, bootId }, message) => {
      if (message.$case !== "logLines") return;
      const now = parts.now();
      const sent = message.value.lines;
      const { kept, told, budget } = planLogLines(
        budgets.get(node) ?? fullLogBudget(now.getTime()),
        sent.length,
        now.getTime(),
      );
      // Kept over sessions: whoever reconnects does not begin anew. There are as many as nodes in the inventory.
      budgets.set(node, budget);
      const lines = sent.slice(0, kept).map((line) => ({ node, bootId, ...readLine(line, now) }));
      const notice = `${told} lines are missing here: the node said too much at once`;
      const notices = told === 0 ? [] : [{ node, bootId, at: now, source: "muster", text: notice }];
      if (lines.length + notices.length > 0) parts.history.recordLogs([...notices, ...lines]);
    },
  };
}

function readLine(line: SentLine, now: Date): Pick<LogLine, "at" | "source" | "text"> {
  const isPlausible = Math.abs(line.atMs - now.getTime()) < MAX_CLOCK_ERROR_MS;
  return {
    at: isPlausible ? new Date(line.atMs) : now,
    source: SOURCES.includes(line.source) ? line.source : "agent",
    text: parsePrintable(line.text, MAX_TEXT),
  };
}
