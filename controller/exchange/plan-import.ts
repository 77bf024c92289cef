import { closestWords } from "#proto/contract/closest-words.ts";
import type { NodeName } from "#proto/contract/node-name.ts";

import type { ConfigFinding } from "../config/config-finding.ts";
import { bootDeviceOf } from "../fields/effective-node.ts";
import { isPlain, type Plain } from "../fields/field-tree.ts";
import { DEFAULT_PROFILE, type Fields, type Json } from "../fields/fields.ts";
import { type FieldsMerger, openMerger, type Profiles } from "../fields/merge-fields.ts";
import { validateFields } from "../fields/validate-fields.ts";
import type { InventoryState, RecordChange } from "../inventory/changes.ts";
import { findClashes } from "./find-clashes.ts";
import {
  BOOT_DEVICE,
  findingAt,
  type ImportedFile,
  type ImportedNode,
  type ImportedSetting,
  type PlannedNode,
  renderValue,
} from "./imported-node.ts";

export interface ImportOptions {
  /** Name of the device a node boots from, where it has none yet. */
  readonly device: string;
  /** What nodes have already stays; what the file says otherwise is left over. */
  readonly keep: boolean;
  /** Profiles that the file names and that do not exist are added, empty. */
  readonly addProfiles: boolean;
  /** The images there are; absent: not looked at. */
  readonly images?: ReadonlySet<string>;
}

/** What an import comes to: a change, or the findings that stand against it. */
export interface ImportPlan {
  readonly changes: readonly RecordChange[];
  readonly findings: readonly ConfigFinding[];
  readonly leftOver: readonly ConfigFinding[];
}

/**
 * Puts what a file says into the nodes that are there, and adds those that are not. A node keeps everything the file does not
 * speak of; what it has already, be it from a profile, is not written again. Profiles and images are never made up. Every
 * value is validated, and MACs and addresses are compared with those of all nodes, as they would be afterwards.
 */
export function planImport(file: ImportedFile, state: InventoryState, options: ImportOptions): ImportPlan {
  const profiles = new Map(state.profiles.map(({ name, fields }) => [name, fields]));
  const merger = openMerger(profiles);
  const existing = new Map(state.nodes.map((record) => [record.name, record]));
  const findings: ConfigFinding[] = [...file.findings];
  const leftOver: ConfigFinding[] = [...file.leftOver];
  const planned = file.nodes.map((node): PlannedNode => {
    const { fields, revision } = existing.get(node.name) ?? { fields: startOf(node, profiles), revision: 0 };
    const settings = chooseSettings(node, fields, merger.merge(fields), options, leftOver);
    const wanted = settings.reduce<Plain>((plain, one) => withSetting(plain, one), fields as Plain);
    const checked = validateFields("node", wanted, "");
    findings.push(
      ...checked.findings.map(({ at, what, fix }) =>
        findingAt(placeOf(at, settings, node), `${node.name} ${at}`, what, fix),
      ),
    );
    return { from: node, settings, revision, fields: checked.fields };
  });
  const added = findProfiles(planned, profiles, options, findings);
  findUnknownImages(planned, options, findings);
  if (findings.length === 0) {
    const after = openMerger(new Map([...profiles, ...added.map((name) => [name, {}] as const)]));
    findings.push(...findClashes(planned, othersOf(planned, state, merger), after));
  }
  return {
    changes: [
      ...added.map((name): RecordChange => ({ kind: "profile", name, revision: 0, fields: {} })),
      ...planned.map(
        ({ from: { name }, revision, fields }): RecordChange => ({
          kind: "node",
          name,
          revision,
          fields,
        }),
      ),
    ],
    findings,
    leftOver,
  };
}

/** As with `muster node add`: a node whose profiles nobody says takes from the profile "default", when there is one. */
function startOf({ settings }: ImportedNode, profiles: Profiles): Fields {
  const isGiven = settings.some(({ path }) => path[0] === "profiles");
  return !isGiven && profiles.has(DEFAULT_PROFILE) ? { profiles: [DEFAULT_PROFILE] } : {};
}

/** The settings that say something new, each with the device it is about. */
function chooseSettings(
  node: ImportedNode,
  own: Fields,
  effective: Fields,
  options: ImportOptions,
  leftOver: ConfigFinding[],
): readonly ImportedSetting[] {
  const boot = deviceOf(node, effective, options.device);
  return node.settings.flatMap((one): readonly ImportedSetting[] => {
    const setting = { ...one, path: one.path.map((word) => (word === BOOT_DEVICE ? boot : word)) };
    const before = valueAt(one.path[0] === "profiles" ? own : effective, setting.path);
    if (one.isAppended === true && Array.isArray(before) && Array.isArray(one.value)) {
      const news = one.value.filter((item) => !before.includes(item));
      return news.length === 0 ? [] : [{ ...setting, value: news }];
    }
    if (before === undefined) return [setting];
    if (JSON.stringify(before) === JSON.stringify(one.value)) return [];
    if (!options.keep) return [setting];
    leftOver.push(
      findingAt(
        one,
        `${node.name} ${setting.path.join(".")}`,
        `${renderValue(one.value)} is not taken: the node has ${renderValue(before)} (--keep)`,
      ),
    );
    return [];
  });
}

/** The device that has the MAC the file gives; else the one it boots from now; else its first. */
function deviceOf(
  { settings }: ImportedNode,
  { devices = {}, primaryDevice }: Fields,
  fallback: string,
): string {
  const mac = settings.find(({ path }) => path[1] === BOOT_DEVICE && path[2] === "mac")?.value;
  const names = Object.keys(devices);
  return (
    names.find((name) => mac !== undefined && devices[name]?.mac === mac) ??
    bootDeviceOf(devices, primaryDevice) ??
    primaryDevice ??
    names[0] ??
    fallback
  );
}

function valueAt(fields: Fields, path: readonly string[]): Json | undefined {
  let at: unknown = fields;
  for (const word of path) at = isPlain(at) && Object.hasOwn(at, word) ? at[word] : undefined;
  return at as Json | undefined;
}

function withSetting(fields: Plain, { path, value, isAppended }: ImportedSetting): Plain {
  const [word, ...rest] = path;
  if (word === undefined) return fields;
  const below = Object.hasOwn(fields, word) ? fields[word] : undefined;
  const [first] = rest;
  if (first !== undefined) {
    const inner = withSetting(isPlain(below) ? below : {}, {
      path: rest,
      value,
      line: 0,
      column: 0,
      ...(isAppended === true ? { isAppended } : {}),
    });
    return { ...fields, [word]: inner as Json };
  }
  const isList = isAppended === true && Array.isArray(below) && Array.isArray(value);
  return {
    ...fields,
    [word]: isList ? [...(below as readonly Json[]), ...(value as readonly Json[])] : value,
  };
}

/** The place of the setting that a finding of a field is about; that of the node when it is about none. */
function placeOf(
  at: string,
  settings: readonly ImportedSetting[],
  node: ImportedNode,
): { readonly line: number; readonly column: number } {
  const text = at.replaceAll('"', "");
  return (
    settings.find(({ path }) => text === path.join(".") || text.startsWith(`${path.join(".")}[`)) ?? node
  );
}

/** Names of the profiles to add; those nobody wants added are findings, each at its first place. */
function findProfiles(
  planned: readonly PlannedNode[],
  known: ReadonlyMap<string, Fields>,
  options: ImportOptions,
  findings: ConfigFinding[],
): readonly string[] {
  const missing = new Map<string, PlannedNode>();
  for (const node of planned) {
    for (const item of node.fields.profiles ?? []) {
      const name = item.replace(/^~/, "");
      if (!known.has(name) && !missing.has(name)) missing.set(name, node);
    }
  }
  if (options.addProfiles) return [...missing.keys()];
  for (const [name, { from, settings }] of missing) {
    const place = settings.find(({ path }) => path[0] === "profiles") ?? from;
    const [meant] = closestWords(name, known.keys());
    findings.push(
      findingAt(
        place,
        name,
        "there is no such profile",
        `${meant === undefined ? "" : `did you mean ${meant}? Or `}muster profile add ${name}, or pass --add-profiles`,
      ),
    );
  }
  return [];
}

function findUnknownImages(
  planned: readonly PlannedNode[],
  { images }: ImportOptions,
  findings: ConfigFinding[],
): void {
  if (images === undefined) return;
  const told = new Set<string>();
  for (const { settings } of planned) {
    for (const setting of settings) {
      const { path, value } = setting;
      if (path[0] !== "image" || typeof value !== "string" || images.has(value) || told.has(value)) continue;
      told.add(value);
      const [meant] = closestWords(value, images);
      const fix =
        meant === undefined
          ? `import it: muster image import DIRECTORY --name ${value}`
          : `did you mean ${meant}?`;
      findings.push(findingAt(setting, value, "there is no such image", fix));
    }
  }
}

/** The nodes that the file does not speak of, in effect. */
function othersOf(
  planned: readonly PlannedNode[],
  { nodes }: InventoryState,
  merger: FieldsMerger,
): readonly { readonly name: string; readonly fields: Fields }[] {
  const spoken = new Set<string>(planned.map(({ from }): NodeName => from.name));
  return nodes
    .filter(({ name }) => !spoken.has(name))
    .map(({ name, fields }) => ({ name, fields: merger.merge(fields) }));
}
