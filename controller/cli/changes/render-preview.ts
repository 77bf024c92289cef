import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { Json } from "../../fields/fields.ts";
import type { Preview, PreviewDifference, PreviewGroup } from "./plan-preview.ts";
import { printable, renderCount } from "../output/render-text.ts";

/** Commands that overlays have nodes run when their files change. */
export type Reactions = ReadonlyMap<string, readonly string[]>;

/** Whether it was done: "deleted" must not stand above the reason why nothing was. */
type PreviewTense = "planned" | "done";

/** Up to this many groups of nodes with the same fields, each with values of its own, are shown one by one. */
const SHOWN_ALIKE = 8;
/** Longer values are cut: whole ones are in `-o json`. */
const LONGEST_VALUE = 100;

/**
 * A preview for people: profiles with the nodes they reach, nodes folded by identical change, and what follows.
 *
 *     c[001-064]: devices.eno1.mtu 1500 -> 9000   (reboot)
 *
 *     at their next boot: c[001-064]; those that are up: muster reboot c[001-064]
 */
export function renderPreview(
  preview: Preview,
  reactions: Reactions = new Map(),
  tense: PreviewTense = "done",
): string {
  const follows = consequencesOf(preview, reactions).map((line) => `${line}\n`);
  return [renderDifferences(preview, tense), ...(follows.length === 0 ? [] : ["\n"]), ...follows].join("");
}

/** A preview without what follows. */
export function renderDifferences(preview: Preview, tense: PreviewTense = "done"): string {
  const profiles = preview.profiles.map((group) => {
    const text = renderGroup(
      group,
      `profile ${group.names.map((name) => printable(name)).join(", ")}`,
      "",
      tense,
    );
    const reaches =
      group.reaches.length === 0
        ? "no node takes it"
        : `reaches ${renderCount(group.reaches.length, "node")}: ${foldNodeSet(group.reaches)}`;
    return `${text}  ${reaches}\n`;
  });
  const nodes = foldAlike(preview.nodes).map((group) =>
    renderGroup(group, foldNodeSet(group.names), group.note ?? "", tense),
  );
  const unchanged =
    preview.unchanged.length === 0
      ? []
      : [`${foldNodeSet(preview.unchanged)}: written otherwise, in effect the same\n`];
  return [...profiles, ...nodes, ...unchanged].join("");
}

/** What follows from the change, a sentence a line. */
function consequencesOf(
  { effects, dhcp, runtimeOverlays }: Preview,
  reactions: Reactions,
): readonly string[] {
  const lines: string[] = [];
  if (dhcp.length > 0) lines.push(`at once: DHCP answers otherwise for ${foldNodeSet(dhcp)}`);
  if (effects.refresh.length > 0 || runtimeOverlays.length > 0) {
    const these = [...effects.refresh, ...(effects.refresh.length === 0 ? effects.reboot : [])];
    lines.push(`at once: the runtime overlay of ${foldNodeSet(these)} is refreshed where they are up`);
    for (const overlay of runtimeOverlays) {
      const commands = reactions.get(overlay) ?? [];
      if (commands.length === 0) continue;
      lines.push(
        `  which may run what onChange of ${printable(overlay)} says: ${printable(commands.join("; "))}`,
      );
    }
  }
  if (effects.reboot.length > 0) {
    const nodes = foldNodeSet(effects.reboot);
    lines.push(`at the next boot: ${nodes}; where they are up: muster reboot ${nodes}`);
  }
  if (effects.none.length > 0 && lines.length > 0) {
    lines.push(`nothing is to be done for ${foldNodeSet(effects.none)}`);
  }
  return lines;
}

interface ShownGroup extends PreviewGroup {
  readonly note?: string;
  /** Instead of values, where they differ from node to node. */
  readonly spread?: ReadonlyMap<string, string>;
}

/** Many nodes that change in the same fields, each to a value of its own, are shown as one. */
function foldAlike(groups: readonly PreviewGroup[]): readonly ShownGroup[] {
  const shapes = new Map<string, PreviewGroup[]>();
  for (const group of groups) {
    const shape = `${group.action} ${group.renamedTo === undefined ? "" : group.names.join()} ${group.differences.map(({ path }) => path).join(" ")}`;
    const alike = shapes.get(shape);
    if (alike === undefined) shapes.set(shape, [group]);
    else alike.push(group);
  }
  return [...shapes.values()].flatMap((alike) => (alike.length <= SHOWN_ALIKE ? alike : [spreadOver(alike)]));
}

function spreadOver(alike: readonly PreviewGroup[]): ShownGroup {
  const [first] = alike;
  if (first === undefined) throw new Error("a shape has groups");
  const spread = new Map<string, string>();
  for (const [at, { path }] of first.differences.entries()) {
    const values = new Set(alike.map((group) => renderValues(group.action, group.differences[at])));
    if (values.size === 1) continue;
    const [one = ""] = values;
    spread.set(path, `${one}, ... (${values.size} different)`);
  }
  return {
    ...first,
    names: alike.flatMap(({ names }) => names),
    spread,
    note: `${spread.size === 1 ? "one field has" : `${spread.size} fields have`} values by node, -o json shows all`,
  };
}

function renderGroup(group: ShownGroup, title: string, note: string, tense: PreviewTense): string {
  const { action, differences, renamedTo, spread } = group;
  const verb = `${tense === "planned" ? " would be" : ""} ${action}`;
  const word =
    action === "changed" ? "" : action === "renamed" ? `${verb} to ${printable(renamedTo ?? "")}` : verb;
  const values = differences.map((one) => spread?.get(one.path) ?? renderValues(action, one));
  const effects = differences.map(({ effect }) =>
    action !== "changed" || effect === "none" || title.startsWith("profile ") ? "" : `   (${effect})`,
  );
  const [only] = differences;
  if (differences.length === 1 && only !== undefined && action === "changed" && note === "") {
    return `${title}: ${printable(only.path)} ${values[0] ?? ""}${effects[0] ?? ""}\n`;
  }
  const width = Math.max(0, ...differences.map(({ path }) => path.length));
  const lines = differences.map(
    ({ path }, at) => `  ${printable(path).padEnd(width)}  ${values[at] ?? ""}${effects[at] ?? ""}\n`,
  );
  return `${title}:${word}${note === "" ? "" : ` (${note})`}\n${lines.join("")}`;
}

function renderValues(action: PreviewGroup["action"], difference: PreviewDifference | undefined): string {
  if (difference === undefined) return "";
  const { before, after } = difference;
  return action === "added" ? renderValue(after) : `${renderValue(before)} -> ${renderValue(after)}`;
}

/** A value on one line: words bare, lists in brackets. */
export function renderValue(value: Json | undefined): string {
  if (value === undefined) return "(none)";
  const text =
    typeof value === "string"
      ? /^[\w./:@%+=,~-]+$/.test(value) ||
        value === "(secret)" ||
        value === "(another secret)" ||
        value === "(kept)"
        ? value
        : JSON.stringify(value)
      : Array.isArray(value) && value.every((one) => typeof one === "string")
        ? `[${value.join(", ")}]`
        : JSON.stringify(value);
  return printable(text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}...` : text);
}
