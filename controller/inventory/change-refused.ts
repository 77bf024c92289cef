import { type ErrorCode, MusterError } from "#proto/contract/muster-error.ts";
import type { RecordKind } from "./changes.ts";

/** One thing wrong with a change, and where: "c001: devices.eno1.mac". */
export interface ChangeFinding {
  readonly at: string;
  readonly what: string;
  readonly fix?: string;
}

/** A change that was not committed, with everything that is wrong with it. */
export class ChangeRefused extends MusterError {
  readonly findings: readonly ChangeFinding[];
  /** `revision-stale`: the records as they are now (null: deleted), and the changes that were refused, in the same order. */
  readonly stale: { readonly current: readonly unknown[]; readonly yours: readonly unknown[] } | undefined;

  constructor(
    code: ErrorCode,
    findings: readonly ChangeFinding[],
    stale?: { readonly current: readonly unknown[]; readonly yours: readonly unknown[] },
  ) {
    const fixes = [...new Set(findings.flatMap(({ fix }) => fix ?? []))].slice(0, 3);
    super({ code, what: sentence(findings), ...(fixes.length === 0 ? {} : { fix: fixes.join("; ") }) });
    this.name = "ChangeRefused";
    this.findings = findings;
    this.stale = stale;
  }
}

/** A sentence stays readable; all of it is in the findings. */
const SAID = 10;

function sentence(findings: readonly ChangeFinding[]): string {
  const said = findings.slice(0, SAID).map(({ at, what }) => (at === "" ? what : `${at}: ${what}`));
  const more = findings.length - said.length;
  return [...said, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
}

/** More help nobody. */
export const MOST_FINDINGS = 1000;

/** "c001", "profile gpu". */
export function recordTitle(kind: RecordKind, name: string): string {
  return kind === "node" ? name : `profile ${name}`;
}
