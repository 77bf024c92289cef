import type { ConfigFinding } from "../../config/config-finding.ts";
import { parseFieldPath, renderFieldPath } from "../../fields/field-path.ts";
import type { Fields, FieldsRecord } from "../../fields/fields.ts";
import { expandProfiles, openMerger } from "../../fields/merge-fields.ts";
import { validateEffective } from "../../fields/validate-effective.ts";
import type { FieldFinding } from "../../fields/validate-fields.ts";
import { type Claim, claimKey, claimsOf } from "../../inventory/inventory-view.ts";
import type { Origin } from "./import-item.ts";
import type { RecordDraft } from "./record-reading.ts";

/** More help nobody: a profile that gives all its nodes one address is one mistake. */
const MOST = 100;

interface Known {
  readonly profiles: ReadonlyMap<string, Fields>;
  /** By "node c001", "profile gpu". */
  readonly drafts: ReadonlyMap<string, RecordDraft>;
}

/**
 * What Warewulf lets pass and an inventory must not have: profiles that include themselves, a MAC or address that two devices
 * have, and nodes that do not fit together, profiles merged.
 */
export function findImportConflicts(
  records: readonly FieldsRecord[],
  drafts: readonly RecordDraft[],
): readonly ConfigFinding[] {
  const profiles = new Map(
    records.filter(({ kind }) => kind === "profile").map(({ name, fields }) => [name, fields]),
  );
  const byName = new Map(drafts.map((draft) => [`${draft.kind} ${draft.name}`, draft]));
  const known: Known = { profiles, drafts: byName };
  return [...findCycles(known), ...findInNodes(records, known)];
}

function findCycles({ profiles, drafts }: Known): readonly ConfigFinding[] {
  const findings: ConfigFinding[] = [];
  const done = new Set<string>();
  const visit = (name: string, way: readonly string[]): void => {
    const from = way.indexOf(name);
    if (from >= 0) {
      findings.push({
        ...placeOf(drafts.get(`profile ${name}`)?.origins.get("profiles")),
        key: `profile ${name}: profiles`,
        what: `the profile includes itself: ${[...way.slice(from), name].join(" -> ")}`,
        fix: "take one of them out of the list of the one before it",
      });
    } else if (!done.has(name)) {
      for (const next of profiles.get(name)?.profiles ?? []) {
        if (!next.startsWith("~")) visit(next, [...way, name]);
      }
      done.add(name);
    }
  };
  for (const name of profiles.keys()) visit(name, []);
  return findings;
}

function findInNodes(records: readonly FieldsRecord[], known: Known): readonly ConfigFinding[] {
  const merger = openMerger(known.profiles);
  const claimed = new Map<string, Claim>();
  const findings: ConfigFinding[] = [];
  for (const { kind, name, fields } of records) {
    if (kind === "profile" || findings.length >= MOST) continue;
    const merged = merger.merge(fields);
    const own = validateEffective(merged);
    findings.push(...own.map((finding) => wholeFinding(name, finding, fields, known)));
    // What a node has twice itself is said already.
    for (const [key, claim] of new Map(claimsOf(name, merged).map((one) => [claimKey(one), one]))) {
      const other = claimed.get(key);
      if (other === undefined) claimed.set(key, claim);
      else findings.push(claimFinding(claim, other, fields, known));
    }
  }
  return findings;
}

/** What is wrong with a node as a whole, at the place where the node or one of its profiles says it. */
function wholeFinding(
  node: string,
  { at, what, fix }: FieldFinding,
  fields: Fields,
  { profiles, drafts }: Known,
): ConfigFinding {
  const path = parseFieldPath(at);
  const said = saidBy(node, fields, profiles).flatMap((name) => drafts.get(name) ?? []);
  const [place] = path
    .map((_, cut) => renderFieldPath(path.slice(0, path.length - cut)))
    .flatMap((prefix) => said.flatMap(({ origins }) => placesAt(origins, prefix)));
  return {
    ...placeOf(place ?? drafts.get(`node ${node}`)?.at),
    key: `node ${node}: ${at}`,
    what,
    ...(fix === undefined ? {} : { fix }),
  };
}

function claimFinding(
  { owner, where, value }: Claim,
  other: Claim,
  fields: Fields,
  { profiles, drafts }: Known,
): ConfigFinding {
  const prefix = where === "bmc" ? "bmc." : "devices.";
  const places = saidBy(owner, fields, profiles).flatMap((name) => {
    const found = [...(drafts.get(name)?.origins ?? [])].find(
      ([path, origin]) => path.startsWith(prefix) && isSaid(origin, value),
    );
    return found === undefined ? [] : [found[1]];
  });
  const [place] = places;
  const from = place?.kind === "profile" ? `, from profile ${place.name}` : "";
  return {
    ...placeOf(place ?? drafts.get(`node ${owner}`)?.at),
    key: `node ${owner}: ${where}`,
    what: `${value} is also that of ${other.owner}, ${other.where}${from}`,
    fix: "let one of them have it",
  };
}

/** Whether the file says this value there, in some spelling. */
function isSaid({ value = "" }: Origin, claimed: string): boolean {
  const bare = (text: string): string =>
    text
      .toLowerCase()
      .replace(/\/\d+$/, "")
      .replaceAll("-", ":");
  return bare(value) === bare(claimed);
}

function placesAt(origins: ReadonlyMap<string, Origin>, prefix: string): readonly Origin[] {
  const known = origins.get(prefix);
  if (known !== undefined) return [known];
  const below = [...origins].find(([path]) => path.startsWith(`${prefix}.`));
  return below === undefined ? [] : [below[1]];
}

/** Who says something of a node: itself, then its profiles, the last first. */
function saidBy(
  node: string,
  { profiles: list = [] }: Fields,
  profiles: ReadonlyMap<string, Fields>,
): readonly string[] {
  const chain = expandProfiles(list, profiles).toReversed();
  return [`node ${node}`, ...chain.map((name) => `profile ${name}`)];
}

function placeOf(origin: Origin | undefined): { readonly line: number; readonly column: number } {
  return { line: origin?.line ?? 1, column: origin?.column ?? 1 };
}
