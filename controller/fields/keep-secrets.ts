import { canonicalFields, ownValue } from "./canonical-fields.ts";
import { type FieldPath, renderFieldPath } from "./field-path.ts";
import { FIELD_TABLE } from "./field-table.ts";
import { isPlain, type Plain } from "./field-tree.ts";
import { type Fields, type Json, KEPT_SECRET } from "./fields.ts";
import type { FieldFinding } from "./validate-fields.ts";

const SECRETS = FIELD_TABLE.filter(({ type }) => type.kind === "secret").map(({ path }) => path.split("."));

/** The fields with every secret shown as {@link KEPT_SECRET}. */
export function redactSecrets(fields: Fields): Fields {
  return replaceSecrets(fields, () => KEPT_SECRET);
}

/** The fields with every {@link KEPT_SECRET} replaced by the secret that is there now; a finding where none is. */
export function keepSecrets(
  wanted: Fields,
  current: Fields | undefined,
): { readonly fields: Fields; readonly findings: readonly FieldFinding[] } {
  const findings: FieldFinding[] = [];
  const fields = replaceSecrets(wanted, (secret, path) => {
    if (secret !== KEPT_SECRET) return secret;
    const kept = path.reduce<Json | undefined>(
      (at, key) => (isPlain(at) ? ownValue(at, String(key)) : undefined),
      current as Json | undefined,
    );
    if (kept !== undefined) return kept;
    findings.push({
      at: renderFieldPath(path),
      what: `is ${KEPT_SECRET}, but there is none to keep`,
      fix: "write the secret itself, or leave it out",
    });
    return undefined;
  });
  return { fields: findings.length === 0 ? fields : canonicalFields(fields), findings };
}

type Replace = (secret: Json, path: FieldPath) => Json | undefined;

function replaceSecrets(fields: Fields, replace: Replace): Fields {
  const replaced = SECRETS.reduce<Json | undefined>(
    (at, names) => replaceAt(at, names, [], replace),
    fields as Json,
  );
  return replaced as Fields;
}

/** Follows a path of the table, where `*` is every name there is. What has no secret stays the same object. */
function replaceAt(
  at: Json | undefined,
  names: readonly string[],
  path: FieldPath,
  replace: Replace,
): Json | undefined {
  const [name, ...rest] = names;
  if (at === undefined) return undefined;
  if (name === undefined) return replace(at, path);
  if (!isPlain(at)) return at;
  let result: Plain = at;
  for (const key of name === "*" ? Object.keys(at) : [name]) {
    const old = ownValue(at, key);
    const now = replaceAt(old, rest, [...path, key], replace);
    if (now !== old) result = { ...result, [key]: now };
  }
  return result as Json;
}
