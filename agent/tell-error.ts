import { errorMeaning, errorSentence, MusterError } from "#proto/contract/muster-error.ts";

/** Says on standard error what went wrong and what to do about it. Returns the exit status that says which way. */
export function tellError(error: unknown): number {
  process.stderr.write(`muster-agent: ${errorSentence(error)}\n`);
  if (error instanceof MusterError && error.fix !== undefined) process.stderr.write(`  ${error.fix}\n`);
  return errorMeaning(error).exit;
}
