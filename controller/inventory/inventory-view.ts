import type { MacAddress } from "#proto/contract/mac-address.ts";
import { compareNodeNames } from "#proto/contract/node-set.ts";
import type { Fields } from "../fields/fields.ts";
import type { InventoryRecord, InventoryState, RecordKind } from "./changes.ts";
import type { Node } from "./inventory.ts";

/** What must be unique over all effective nodes: who has it, and where. */
export interface Claim {
  readonly field: "mac" | "address";
  readonly value: string;
  readonly owner: string;
  /** "device eno1", "bmc". */
  readonly where: string;
}

/** A node as written, and as it is with its profiles. */
export interface NodeEntry {
  readonly record: InventoryRecord;
  readonly node: Node;
  readonly claims: readonly Claim[];
}

/** What a change does to the inventory in memory, by name; undefined: it goes. */
export interface InventoryDelta {
  readonly profiles: ReadonlyMap<string, InventoryRecord | undefined>;
  readonly nodes: ReadonlyMap<string, NodeEntry | undefined>;
  readonly claims: ReadonlyMap<string, Claim | undefined>;
}

/** The inventory as a planner sees it. */
export interface InventoryFacts {
  readonly findNode: (name: string) => NodeEntry | undefined;
  readonly findProfile: (name: string) => InventoryRecord | undefined;
  readonly findClaim: (key: string) => Claim | undefined;
  /** In no order. */
  nodes(): Iterable<NodeEntry>;
  profiles(): Iterable<InventoryRecord>;
}

/**
 * All records and effective nodes of one state of the database. Changed in place by {@link InventoryView.apply}, so that
 * a change costs what it touches; what it hands out is never changed.
 */
export interface InventoryView extends InventoryFacts {
  /** Change counter of the file when it was read. */
  readonly dataVersion: number;
  /** In natural order; the same array until a node changes. */
  listNodes(): readonly Node[];
  findByMac(mac: MacAddress): Node | undefined;
  /** The same object until a record changes. */
  listRecords(): InventoryState;
  apply(delta: InventoryDelta): void;
}

export function claimKey({ field, value }: Pick<Claim, "field" | "value">): string {
  return `${field} ${value}`;
}

/** What an effective node claims: MACs and addresses of its devices, and the address of its BMC. */
export function claimsOf(owner: string, merged: Fields): readonly Claim[] {
  const claims: Claim[] = [];
  const claim = (field: Claim["field"], value: string | undefined, where: string): void => {
    if (value !== undefined) claims.push({ field, value, owner, where });
  };
  for (const [name, device] of Object.entries(merged.devices ?? {})) {
    const where = `device ${name}`;
    claim("mac", device.mac, where);
    claim("address", device.address, where);
    claim("address", device.address6, where);
  }
  claim("address", merged.bmc?.address, "bmc");
  return claims;
}

export function openInventoryView(content: {
  readonly nodes: readonly NodeEntry[];
  readonly profiles: readonly InventoryRecord[];
  readonly dataVersion: number;
}): InventoryView {
  const nodes = new Map(content.nodes.map((entry) => [entry.record.name, entry]));
  const profiles = new Map(content.profiles.map((record) => [record.name, record]));
  // Should the file hold two that claim the same, the first has it.
  const claims = new Map<string, Claim>();
  for (const entry of content.nodes) {
    for (const claim of entry.claims) {
      const key = claimKey(claim);
      if (!claims.has(key)) claims.set(key, claim);
    }
  }
  let names: readonly string[] = [...nodes.keys()].sort(compareNodeNames);
  let list: readonly Node[] | undefined;
  let state: InventoryState | undefined;
  return {
    dataVersion: content.dataVersion,
    findNode: (name) => nodes.get(name),
    findProfile: (name) => profiles.get(name),
    findClaim: (key) => claims.get(key),
    nodes: () => nodes.values(),
    profiles: () => profiles.values(),
    listNodes: () => {
      list ??= names.flatMap((name) => nodes.get(name)?.node ?? []);
      return list;
    },
    findByMac: (mac) => {
      const owner = claims.get(claimKey({ field: "mac", value: mac }))?.owner;
      return owner === undefined ? undefined : nodes.get(owner)?.node;
    },
    listRecords: () => {
      state ??= {
        nodes: names.flatMap((name) => nodes.get(name)?.record ?? []),
        profiles: [...profiles.values()].sort((a, b) => compareNodeNames(a.name, b.name)),
      };
      return state;
    },
    apply: (delta) => {
      const before = nodes.size;
      let isSameSet = true;
      for (const [name, entry] of delta.nodes) {
        if (entry === undefined) isSameSet = !nodes.delete(name) && isSameSet;
        else {
          isSameSet &&= nodes.has(name);
          nodes.set(name, entry);
        }
      }
      for (const [name, record] of delta.profiles) put(profiles, name, record);
      for (const [key, claim] of delta.claims) put(claims, key, claim);
      if (!isSameSet || nodes.size !== before) names = mergeNames(names, delta.nodes, nodes);
      if (delta.nodes.size > 0) list = undefined;
      if (delta.nodes.size + delta.profiles.size > 0) state = undefined;
    },
  };
}

/** What `base` is after a change that is not applied yet. */
export function afterDelta(base: InventoryFacts, delta: InventoryDelta): InventoryFacts {
  const pick = <T>(
    changed: ReadonlyMap<string, T | undefined>,
    key: string,
    now: (key: string) => T | undefined,
  ) => (changed.has(key) ? changed.get(key) : now(key));
  return {
    findNode: (name) => pick(delta.nodes, name, base.findNode),
    findProfile: (name) => pick(delta.profiles, name, base.findProfile),
    findClaim: (key) => pick(delta.claims, key, base.findClaim),
    nodes: () => changedValues(base.nodes(), delta.nodes, (entry) => entry.record.name),
    profiles: () => changedValues(base.profiles(), delta.profiles, (record) => record.name),
  };
}

/** Both, the second after the first. */
export function joinDeltas(first: InventoryDelta, second: InventoryDelta): InventoryDelta {
  return {
    profiles: new Map([...first.profiles, ...second.profiles]),
    nodes: new Map([...first.nodes, ...second.nodes]),
    claims: new Map([...first.claims, ...second.claims]),
  };
}

function* changedValues<T>(
  base: Iterable<T>,
  changed: ReadonlyMap<string, T | undefined>,
  nameOf: (value: T) => string,
): Iterable<T> {
  for (const value of base) if (!changed.has(nameOf(value))) yield value;
  for (const value of changed.values()) if (value !== undefined) yield value;
}

function put<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

/** Sorting 10,000 names takes 15 ms, putting a few in their place one. */
function mergeNames(
  names: readonly string[],
  changed: ReadonlyMap<string, unknown>,
  nodes: ReadonlyMap<string, unknown>,
): readonly string[] {
  const kept = names.filter((name) => nodes.has(name));
  const known = new Set(kept);
  const added = [...changed.keys()]
    .filter((name) => nodes.has(name) && !known.has(name))
    .sort(compareNodeNames);
  const merged: string[] = [];
  let at = 0;
  for (const name of added) {
    for (let next = kept[at]; next !== undefined && compareNodeNames(next, name) < 0; next = kept[at]) {
      merged.push(next);
      at += 1;
    }
    merged.push(name);
  }
  for (; at < kept.length; at += 1) merged.push(kept[at] ?? "");
  return merged;
}

export function findRecord(
  facts: InventoryFacts,
  kind: RecordKind,
  name: string,
): InventoryRecord | undefined {
  return kind === "node" ? facts.findNode(name)?.record : facts.findProfile(name);
}
