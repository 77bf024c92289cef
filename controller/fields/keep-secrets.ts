import { canonicalFields } from "./canonical-fields.ts";
import { renderFieldPath } from "./field-path.ts";
import { findField, isPlain, type Plain } from "./field-tree.ts";
import { type Fields, type Json, KEPT_SECRET } from "./fields.ts";
import { listLeaves } from "./list-leaves.ts";
import type { FieldFinding } from "./validate-fields.ts";

/** The fields with every secret shown as {@link KEPT_SECRET}. */
export function redactSecrets(fields: Fields): Fields {
  return replaceSecrets(fields, () => KEPT_SECRET);
}

/** The fields with every {@link KEPT_SECRET} replaced by the secret that is there now; a finding where none is. */
export function keepSecrets(
  wanted: Fields,
  current: Fields | undefined,
): { readonly fields: Fields; readonly findings: readonly FieldFinding[] } {
  const now = new Map(listLeaves(current ?? {}).map(({ path, value }) => [renderFieldPath(path), value]));
  const findings: FieldFinding[] = [];
  const fields = replaceSecrets(wanted, (secret, at) => {
    if (secret !== KEPT_SECRET) return secret;
    const kept = now.get(at);
    if (kept !== undefined) return kept;
    findings.push({
      at,
      what: `is ${KEPT_SECRET}, but there is none to keep`,
      fix: "write the secret itself, or leave it out",
    });
    return undefined;
  });
  return { fields, findings };
}

function replaceSecrets(fields: Fields, replace: (secret: Json, at: string) => Json | undefined): Fields {
  let result = fields;
  for (const { path, value } of listLeaves(fields)) {
    const found = findField(path);
    if (found?.node.kind !== "leaf" || found.node.row.type.kind !== "secret") continue;
    const secret = replace(value, renderFieldPath(path));
    if (secret !== value) result = putAt(result as Plain, path.map(String), secret);
  }
  return result === fields ? fields : canonicalFields(result);
}

function putAt(at: Plain, [key = "", ...rest]: readonly string[], value: Json | undefined): Plain {
  const below = at[key];
  const next = rest.length === 0 ? value : putAt(isPlain(below) ? below : {}, rest, value);
  return { ...at, [key]: next as Json | undefined };
}
