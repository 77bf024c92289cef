import type { ExportedNode } from "./plan-exported-nodes.ts";

/** Where groups come from: the same words as in node sets (@profile:gpu). */
const GROUP_SOURCES = ["profile", "image", "tag", "state"] as const;
export type GroupSource = (typeof GROUP_SOURCES)[number];

/** Names of nodes by group: "profile" -> "gpu" -> ["c001"]. A tag makes the groups KEY and KEY=VALUE. */
export type ExportedGroups = ReadonlyMap<GroupSource, ReadonlyMap<string, readonly string[]>>;

/** The groups nodes are in; only those with members, in the order of their names. */
export function planExportedGroups(nodes: readonly ExportedNode[]): ExportedGroups {
  const groups = new Map(GROUP_SOURCES.map((source) => [source, new Map<string, string[]>()]));
  const add = (source: GroupSource, group: string, name: string): void => {
    const members = groups.get(source)?.get(group);
    if (members === undefined) groups.get(source)?.set(group, [name]);
    else members.push(name);
  };
  for (const { name, profiles, image, tags, state } of nodes) {
    for (const profile of profiles) add("profile", profile, name);
    if (image !== undefined) add("image", image, name);
    for (const [key, value] of Object.entries(tags)) {
      add("tag", key, name);
      if (value !== "") add("tag", `${key}=${value}`, name);
    }
    if (state !== undefined) add("state", state, name);
  }
  return new Map(
    [...groups].map(([source, byName]) => [
      source,
      new Map([...byName].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))),
    ]),
  );
}
