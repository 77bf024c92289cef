import { keepSecrets } from "../fields/keep-secrets.ts";
import { KEPT_SECRET } from "../fields/fields.ts";
import type { InventoryRecord, InventoryState, RecordChange } from "../inventory/changes.ts";
import type { ParsedText } from "./parse-inventory.ts";
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
    for (const { kind, name, fields: written } of text.records) {
      const key = keyOf({ kind, name });
      const now = current.get(key);
      const other = seen.get(key);
      if (other !== undefined) {
        const what = `is in ${other.file} already`;
        findings.push(...text.locate([{ kind, name, at: "", what, fix: "keep it in one of the two" }]));
        continue;
      }
      seen.set(key, text);
      const json = JSON.stringify(written);
      if (json === JSON.stringify(now?.fields)) {
        same += 1;
        continue;
      }
      // What is shown of a secret is kept; a secret that is written is compared with the one in `state`.
      const kept = json.includes(KEPT_SECRET) ? keepSecrets(written, now?.fields) : undefined;
      if (kept !== undefined && kept.findings.length > 0) {
        findings.push(...text.locate(kept.findings.map((finding) => ({ kind, name, ...finding }))));
      } else if (kept !== undefined && JSON.stringify(kept.fields) === JSON.stringify(now?.fields)) same += 1;
      else changes.push({ kind, name, revision: now?.revision ?? 0, fields: kept?.fields ?? written });
    }
  }
  const kinds = new Set(texts.flatMap((text) => [...text.kinds]));
  const absent = [...state.nodes, ...state.profiles].filter((record) => !seen.has(keyOf(record)));
  const [gone, left] = prune
    ? [absent.filter(({ kind }) => kinds.has(kind)), absent.filter(({ kind }) => !kinds.has(kind))]
    : [[], absent];
  changes.push(
    ...gone.map(({ kind, name, revision }): RecordChange => ({ kind, name, revision, fields: undefined })),
  );
  return { changes, same, left, findings };
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
