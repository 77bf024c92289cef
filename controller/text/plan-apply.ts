import { keepSecrets } from "../fields/keep-secrets.ts";
import { type FieldsRecord, KEPT_SECRET } from "../fields/fields.ts";
import type { InventoryRecord, InventoryState, RecordChange } from "../inventory/changes.ts";
import type { ParsedText, RecordFinding } from "./parse-inventory.ts";
import type { TextFinding } from "./text-finding.ts";

/** What applying texts comes to. */
export interface ApplyPlan {
  /** Only of records that differ. */
  readonly changes: readonly RecordChange[];
  /** Records that are as the texts want them. */
  readonly same: number;
  /** Records that the texts do not have, and that stay for want of --prune. */
  readonly left: readonly InventoryRecord[];
  readonly findings: readonly TextFinding[];
}

/**
 * The changes that make the records those of the texts. A record's fields are replaced whole. With `prune`, records that no text has
 * are deleted, of the kinds that the texts speak of: a file without `profiles:` leaves profiles alone.
 */
export function planApply(
  texts: readonly ParsedText[],
  state: InventoryState,
  { prune }: { readonly prune: boolean },
): ApplyPlan {
  const current = new Map([...state.nodes, ...state.profiles].map((record) => [keyOf(record), record]));
  const seen = new Map<string, ParsedText>();
  const changes: RecordChange[] = [];
  const findings: TextFinding[] = [];
  let same = 0;
  for (const text of texts) {
    for (const record of text.records) {
      const key = keyOf(record);
      const other = seen.get(key);
      const outcome = other === undefined ? planRecord(record, current.get(key)) : twice(record, other);
      if (other === undefined) seen.set(key, text);
      if (outcome === undefined) same += 1;
      else if ("fields" in outcome) changes.push(outcome);
      else findings.push(...text.locate(outcome));
    }
  }
  const kinds = new Set(texts.flatMap((text) => [...text.kinds]));
  const absent = [...state.nodes, ...state.profiles].filter((record) => !seen.has(keyOf(record)));
  const isGone = ({ kind }: InventoryRecord): boolean => prune && kinds.has(kind);
  for (const { kind, name, revision } of absent.filter(isGone)) {
    changes.push({ kind, name, revision, fields: undefined });
  }
  return { changes, same, left: absent.filter((record) => !isGone(record)), findings };
}

/** The change that makes a record what the text wants; undefined when it is so. */
function planRecord(
  { kind, name, fields }: FieldsRecord,
  now: InventoryRecord | undefined,
): RecordChange | readonly RecordFinding[] | undefined {
  const json = JSON.stringify(fields);
  const current = JSON.stringify(now?.fields);
  if (json === current) return undefined;
  const revision = now?.revision ?? 0;
  if (!json.includes(KEPT_SECRET)) return { kind, name, revision, fields };
  // What stands for a secret keeps it; a secret that is written out is compared with the one in the state.
  const kept = keepSecrets(fields, now?.fields);
  if (kept.findings.length > 0) return kept.findings.map((finding) => ({ kind, name, ...finding }));
  return JSON.stringify(kept.fields) === current ? undefined : { kind, name, revision, fields: kept.fields };
}

function twice({ kind, name }: FieldsRecord, { file }: ParsedText): readonly RecordFinding[] {
  return [{ kind, name, at: "", what: `is in ${file} already`, fix: "keep it in one of the two" }];
}

/** Whether a text has a secret in clear, so that it has to be compared with the one that is there. */
export function hasSecrets(texts: readonly ParsedText[], secretPaths: readonly string[]): boolean {
  return texts.some(({ records }) =>
    records.some(({ fields }) => secretPaths.some((path) => isClear(fields, path.split(".")))),
  );
}

function isClear(value: unknown, [step, ...rest]: readonly string[]): boolean {
  if (step === undefined) return typeof value === "string" && value !== KEPT_SECRET;
  if (typeof value !== "object" || value === null) return false;
  const map = value as Readonly<Record<string, unknown>>;
  return step === "*" ? Object.values(map).some((one) => isClear(one, rest)) : isClear(map[step], rest);
}

function keyOf({ kind, name }: { readonly kind: string; readonly name: string }): string {
  return `${kind} ${name}`;
}
