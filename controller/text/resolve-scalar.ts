import type { Json } from "../fields/fields.ts";

/** A number as JSON writes it: what it says cannot be lost by reading it. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]\d+)?$/;

/**
 * What a plain (unquoted) scalar of YAML is here: null, true or false; a number, where the number's own text is the one that was
 * written; otherwise the text. So 0042, 6.10, 0x1f, 1e3, and 12345678901234567890 stay what they are, in free YAML too.
 */
export function resolveScalar(text: string): Exclude<Json, readonly Json[] | object> {
  if (text === "" || text === "~" || text === "null") return null;
  if (text === "true") return true;
  if (text === "false") return false;
  return NUMBER.test(text) && String(Number(text)) === text ? Number(text) : text;
}
