import type { ChangeDetailsView } from "../../api/rest/inventory-schemas.ts";
import type { CliContext } from "../cli-context.ts";
import { parseTime } from "./parse-time.ts";

/** The moment that `--at` names: a time as parse-time.ts reads it, or "change 17", which is right after that change. */
export async function resolveTime(context: CliContext, text: string): Promise<Date> {
  const [, change] = /^(?:change\s+|#)(\d{1,15})$/.exec(text.trim()) ?? [];
  if (change === undefined) return parseTime(text, context.process.now());
  return new Date((await context.api.get<ChangeDetailsView>(`/changes/${change}`)).at);
}
