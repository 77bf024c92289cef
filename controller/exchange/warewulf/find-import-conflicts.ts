import type { ConfigFinding } from "../../config/config-finding.ts";
import type { Fields, FieldsRecord } from "../../fields/fields.ts";
import { expandProfiles, openMerger } from "../../fields/merge-fields.ts";
import { type Claim, claimKey, claimsOf } from "../../inventory/inventory-view.ts";
import type { RecordDraft } from "./read-warewulf-record.ts";

/** Two conflicts of a kind say enough of a profile that gives all its nodes one address; the rest is counted. */
const MOST = 100;

/**
 * What Warewulf lets pass and an inventory must not have: profiles that include themselves, and a MAC or address that two
 * devices have, profiles merged.
 */
export function findImportConflicts(
  records: readonly FieldsRecord[],
  drafts: readonly RecordDraft[],
): readonly ConfigFinding[] {
  const profiles = new Map(
    records.filter(({ kind }) => kind === "profile").map(({ name, fields }) => [name, fields]),
  );
  const byName = new Map(drafts.map((draft) => [`${draft.kind} ${draft.name}`, draft]));
  return [...findCycles(profiles, byName), ...findClaims(records, profiles, byName)];
}

function findCycles(
  profiles: ReadonlyMap<string, Fields>,
  drafts: ReadonlyMap<string, RecordDraft>,
): readonly ConfigFinding[] {
  const findings: ConfigFinding[] = [];
  const done = new Set<string>();
  const visit = (name: string, way: readonly string[]): void => {
    const from = way.indexOf(name);
    if (from >= 0) {
      const { line, column } = drafts.get(`profile ${name}`)?.origins.get("profiles") ?? {
        line: 1,
        column: 1,
      };
      findings.push({
        ...{ line, column, key: `profile ${name}: profiles` },
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

function findClaims(
  records: readonly FieldsRecord[],
  profiles: ReadonlyMap<string, Fields>,
  drafts: ReadonlyMap<string, RecordDraft>,
): readonly ConfigFinding[] {
  const merger = openMerger(profiles);
  const claimed = new Map<string, Claim>();
  const findings: ConfigFinding[] = [];
  for (const { kind, name, fields } of records) {
    if (kind === "profile") continue;
    for (const claim of claimsOf(name, merger.merge(fields))) {
      const other = claimed.get(claimKey(claim));
      if (other === undefined) claimed.set(claimKey(claim), claim);
      else if (findings.length < MOST) findings.push(claimFinding(claim, other, fields, profiles, drafts));
    }
  }
  return findings;
}

function claimFinding(
  { owner, where, value }: Claim,
  other: Claim,
  fields: Fields,
  profiles: ReadonlyMap<string, Fields>,
  drafts: ReadonlyMap<string, RecordDraft>,
): ConfigFinding {
  const said = [
    `node ${owner}`,
    ...expandProfiles(fields.profiles ?? [], profiles)
      .toReversed()
      .map((name) => `profile ${name}`),
  ];
  const places = said.flatMap((name) => {
    const draft = drafts.get(name);
    const found = [...(draft?.origins ?? [])].find(
      ([path, origin]) =>
        path.startsWith(where === "bmc" ? "bmc." : "devices.") && origin.value?.toLowerCase() === value,
    );
    return found === undefined ? [] : [{ ...found[1], name }];
  });
  const [place] = places;
  const { line, column } = place ?? drafts.get(`node ${owner}`)?.at ?? { line: 1, column: 1 };
  const from =
    place === undefined || place.kind === "node"
      ? ""
      : `, from profile ${place.name.replace("profile ", "")}`;
  return {
    ...{ line, column, key: `node ${owner}: ${where}` },
    what: `${value} is also that of ${other.owner}, ${other.where}${from}`,
    fix: "let one of them have it",
  };
}
