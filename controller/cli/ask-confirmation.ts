import { MusterError } from "#proto/contract/muster-error.ts";

import type { CliContext } from "./cli-context.ts";

/** Asks before something that cannot be undone. Without a terminal there is nobody to ask: `argument-invalid`. */
export async function isConfirmed(context: CliContext, question: string): Promise<boolean> {
  const answer = await context.process.ask(`${question} [y/N] `);
  if (answer === undefined) {
    throw new MusterError({
      code: "argument-invalid",
      what: `${question.replace(/\?$/, "")}: there is no terminal to ask on`,
      fix: "pass --yes to go ahead without asking",
    });
  }
  const isYes = /^y(es)?$/i.test(answer.trim());
  if (!isYes) context.note("nothing was done");
  return isYes;
}
