import type { CliContext } from "../cli-context.ts";
import { parseTime } from "./parse-time.ts";

/** The moment that `--at` names, as the API takes it: a time as parse-time.ts reads it, or "change 17", which is right after that change. */
export function resolveTime(context: CliContext, text: string): string {
  const [, change] = /^(?:change\s+|#)(\d{1,15})$/.exec(text.trim()) ?? [];
  if (change !== undefined) return `change ${change}`;
  return parseTime(text, context.process.now()).toISOString();
}
