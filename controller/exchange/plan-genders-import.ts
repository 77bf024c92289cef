import type { ConfigFinding } from "../config/config-finding.ts";
import type { Json } from "../fields/fields.ts";
import { validateFields } from "../fields/validate-fields.ts";
import { findingAt, type ImportedFile, type ImportedSetting } from "./imported-node.ts";
import { type GendersAttribute, type GendersNode, parseGenders } from "./parse-genders.ts";

export interface GendersChoice {
  /** Attributes that are profiles: itself, or the one its value names. */
  readonly profiles: ReadonlySet<string>;
  /** Only these nodes; absent: all of the file. */
  readonly match?: ReadonlySet<string>;
}

/**
 * What a genders file says of nodes: attributes become tags (one without a value is an empty tag), and those of
 * `choice.profiles` profiles, in the order of the file: "compute" the profile compute, "role=login" the profile login.
 */
export function planGendersImport(text: string, { profiles, match }: GendersChoice): ImportedFile {
  const { nodes, findings } = parseGenders(text);
  const isTaken = ({ name }: GendersNode): boolean => match?.has(name) !== false;
  const taken = nodes.filter(isTaken);
  const unfit = findUnfitTags(taken, profiles);
  return {
    nodes: taken.map(({ attributes, ...node }) => ({
      ...node,
      settings: settingsOf(
        attributes.filter((attribute) => !unfit.has(attribute)),
        profiles,
      ),
    })),
    findings,
    leftOver: [
      ...nodes
        .filter((node) => !isTaken(node))
        .map((node) => findingAt(node, node.name, "is not taken: it is not in --match")),
      ...findingsOf(unfit),
    ],
  };
}

/** One for each place of the file, however many nodes its line is about. */
function findingsOf(unfit: ReadonlyMap<GendersAttribute, string>): readonly ConfigFinding[] {
  const places = new Map<string, ConfigFinding>();
  for (const [attribute, what] of unfit) {
    const key = `${attribute.line}:${attribute.column}`;
    if (!places.has(key)) places.set(key, findingAt(attribute, attribute.name, `is not taken: ${what}`));
  }
  return [...places.values()];
}

/** Attributes that cannot be tags, with the reason: genders takes names and lengths that tags do not. */
function findUnfitTags(
  nodes: readonly GendersNode[],
  profiles: ReadonlySet<string>,
): ReadonlyMap<GendersAttribute, string> {
  const reasons = new Map<string, string | undefined>();
  const unfit = new Map<GendersAttribute, string>();
  for (const attribute of nodes.flatMap(({ attributes }) => attributes)) {
    const { name, value = "" } = attribute;
    if (profiles.has(name)) continue;
    const key = `${name}=${value}`;
    if (!reasons.has(key)) {
      reasons.set(key, validateFields("node", { tags: { [name]: value } }, "").findings[0]?.what);
    }
    const reason = reasons.get(key);
    if (reason !== undefined) unfit.set(attribute, reason);
  }
  return unfit;
}

function settingsOf(
  attributes: readonly GendersAttribute[],
  profiles: ReadonlySet<string>,
): readonly ImportedSetting[] {
  const isProfile = ({ name }: GendersAttribute): boolean => profiles.has(name);
  const named = attributes.filter(isProfile);
  const [first] = named;
  const list: Json = [...new Set(named.map(({ name, value }) => value ?? name))];
  return [
    ...(first === undefined
      ? []
      : [
          {
            path: ["profiles"],
            value: list,
            line: first.line,
            column: first.column,
            isAppended: true as const,
          },
        ]),
    ...attributes
      .filter((attribute) => !isProfile(attribute))
      .map(({ name, value, line, column }) => ({ path: ["tags", name], value: value ?? "", line, column })),
  ];
}
