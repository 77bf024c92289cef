/** What a running node can be checked for. */
export const CHECK_NAMES = ["overlay", "hardware", "clock", "root"] as const;

export type CheckName = (typeof CHECK_NAMES)[number];

/** What one check found; a check that finds several things wrong has a verdict for each. */
export interface CheckVerdict {
  readonly check: CheckName;
  readonly isRight: boolean;
  /** For people, in words that are the same on nodes that are alike. */
  readonly text: string;
}

/** A verdict as a line of a directive's result: "failed root: 2 % free (...)". */
export function renderVerdict({ check, isRight, text }: CheckVerdict): string {
  return `${isRight ? "ok" : "failed"} ${check}: ${text}`;
}

/** Reads {@link renderVerdict}'s line; undefined for a line that is none. */
export function parseVerdict(line: string): CheckVerdict | undefined {
  const [, word, name, text = ""] = /^(ok|failed) ([a-z]+): (.*)$/.exec(line) ?? [];
  const check = CHECK_NAMES.find((known) => known === name);
  return check === undefined ? undefined : { check, isRight: word === "ok", text };
}
