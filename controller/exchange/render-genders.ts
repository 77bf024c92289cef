import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { ExportedNode, RenderedExport } from "./plan-exported-nodes.ts";

/**
 * A genders file: profiles are attributes, tags are attributes with values (without, where a tag is empty), and the image is
 * `image=NAME`. Nodes with the same attributes share a line. What genders cannot say - values with blanks, commas or `#`, an
 * attribute twice - is left out and told.
 */
export function renderGenders(nodes: readonly ExportedNode[]): RenderedExport {
  const byAttributes = new Map<string, string[]>();
  const problems = new Map<string, string[]>();
  for (const node of nodes) {
    const attributes = attributesOf(node, (what) => {
      append(problems, what, node.name);
    });
    append(byAttributes, attributes.join(","), node.name);
  }
  const lines = [...byAttributes].flatMap(([attributes, names]) =>
    foldForGenders(names).map((hosts) => `${hosts}${attributes === "" ? "" : ` ${attributes}`}\n`),
  );
  return {
    text: lines.join(""),
    notes: [...problems].map(([what, names]) => `${foldNodeSet(names)}: ${what}`),
  };
}

function attributesOf(
  { profiles, image, tags }: ExportedNode,
  leaveOut: (what: string) => void,
): readonly string[] {
  const attributes = new Map<string, string>();
  const add = (what: string, name: string, value: string): void => {
    if (/[\s,#]/.test(value)) leaveOut(`${what} is left out: genders takes no blanks, commas or # in values`);
    else if (attributes.has(name)) leaveOut(`${what} is left out: there is an attribute of this name`);
    // A per cent sign would start a substitution (%n).
    else attributes.set(name, value === "" ? name : `${name}=${value.replaceAll("%", "%%")}`);
  };
  for (const profile of profiles) add(`profile ${profile}`, profile, "");
  if (image !== undefined) add(`image ${image}`, "image", image);
  for (const [key, value] of Object.entries(tags)) add(`tag ${key}`, key, value);
  return [...attributes.values()];
}

/** Far below the 64 KiB at which libgenders 1.22 gives up on a line, and about what people can read. */
const READABLE_LENGTH = 4096;
const NODES_A_LINE = 250;

/** Host lists of libgenders have one bracket: only the last number of a name is folded. */
function foldForGenders(names: readonly string[]): readonly string[] {
  const alike = new Map<string, string[]>();
  for (const name of names) append(alike, name.replace(/\d+(?=\D*$)/, "#"), name);
  return [...alike.values()].flatMap((group) => {
    const folded = foldNodeSet(group);
    if (folded.length <= READABLE_LENGTH) return [folded];
    const lines = Math.ceil(group.length / NODES_A_LINE);
    return Array.from({ length: lines }, (_, at) =>
      foldNodeSet(group.slice(at * NODES_A_LINE, (at + 1) * NODES_A_LINE)),
    );
  });
}

function append(lists: Map<string, string[]>, key: string, value: string): void {
  const known = lists.get(key);
  if (known === undefined) lists.set(key, [value]);
  else known.push(value);
}
