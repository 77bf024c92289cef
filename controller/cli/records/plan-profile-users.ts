import { MusterError } from "#proto/contract/muster-error.ts";
import { compareNodeNames, foldNodeSet } from "#proto/contract/node-set.ts";

import type { Fields } from "../../fields/fields.ts";
import { expandProfiles, type Profiles } from "../../fields/merge-fields.ts";
import type { InventoryState } from "../../inventory/changes.ts";
import { renderCount } from "../output/render-text.ts";

/** The nodes that take fields from each profile, themselves or through another profile; natural order. */
export function planProfileUsers({
  nodes,
  profiles,
}: InventoryState): ReadonlyMap<string, readonly string[]> {
  const fields: Profiles = new Map(profiles.map((profile) => [profile.name, profile.fields]));
  const users = new Map<string, string[]>(profiles.map(({ name }) => [name, []]));
  const chains = new Map<string, readonly string[]>();
  for (const { name, fields: own } of nodes) {
    for (const profile of chainOf(own, fields, chains)) users.get(profile)?.push(name);
  }
  for (const names of users.values()) names.sort(compareNodeNames);
  return users;
}

/** `profile-in-use` when anything that stays names one of the profiles: who does, and what to type. */
export function refuseUsedProfiles(names: readonly string[], { nodes, profiles }: InventoryState): void {
  const leaving = new Set(names);
  const isNaming = ({ fields }: { readonly fields: Fields }, profile: string): boolean =>
    fields.profiles?.some((word) => word === profile || word === `~${profile}`) ?? false;
  for (const profile of names) {
    const users = nodes.filter((node) => isNaming(node, profile)).map(({ name }) => name);
    const above = profiles.filter((one) => !leaving.has(one.name) && isNaming(one, profile));
    if (users.length === 0 && above.length === 0) continue;
    const folded = foldNodeSet(users);
    const others = above.map(({ name }) => name).join(",");
    const who = [
      ...(users.length === 0 ? [] : [`${renderCount(users.length, "node")} ${folded}`]),
      ...(above.length === 0
        ? []
        : [`${renderCount(above.length, "profile")} ${above.map(({ name }) => name).join(", ")}`]),
    ];
    const fixes = [
      ...(users.length === 0 ? [] : [`muster node set ${folded} --remove-profile ${profile}`]),
      ...(above.length === 0 ? [] : [`muster profile set ${others} --remove-profile ${profile}`]),
    ];
    throw new MusterError({
      code: "profile-in-use",
      what: `profile ${profile} is used by ${who.join(" and ")}`,
      fix: `take it from them first: ${fixes.join("; ")}`,
    });
  }
}

function chainOf(own: Fields, profiles: Profiles, known: Map<string, readonly string[]>): readonly string[] {
  const list = own.profiles ?? [];
  const key = list.join("\n");
  const chain = known.get(key) ?? expandProfiles(list, profiles);
  known.set(key, chain);
  return chain;
}
