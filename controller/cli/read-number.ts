import { MusterError } from "#proto/contract/muster-error.ts";

/** The value of an option or argument that counts from 1. `argument-invalid` for anything else. */
export function readPositive(option: string, text: string): number {
  const number = Number(text);
  if (/^\d{1,15}$/.test(text) && number > 0) return number;
  throw new MusterError({
    code: "argument-invalid",
    what: `${option} ${text} is not a number from 1`,
    fix: `for example ${option} 10`,
  });
}
