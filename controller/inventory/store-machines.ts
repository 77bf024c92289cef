import type { MacAddress } from "#proto/contract/mac-address.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { mergeFields } from "../fields/merge-fields.ts";
import { planNodeReplace } from "../machines/plan-node-replace.ts";
import { planNodeSwap } from "../machines/plan-node-swap.ts";
import type { Author, MachineId, PendingMachine, RefusedMachine, SeenNode } from "./inventory.ts";
import { claimKey, type InventoryFacts, type NodeEntry } from "./inventory-view.ts";
import type { AlsoDone, StagedWork } from "./open-records.ts";
import { profileFields } from "./plan-delta.ts";
import { voidIdentities } from "./store-denied-boots.ts";
import { readmitMachines, refuseMachine } from "./store-refused-machines.ts";
import { unknownNodes } from "./unknown-nodes.ts";

/** The change that lets another machine be a node. */
export function planReplacement(
  facts: InventoryFacts,
  pending: readonly PendingMachine[],
  by: {
    readonly node: NodeName;
    readonly mac: MacAddress;
    readonly serial?: string;
    readonly revision: number;
  },
  author: Author,
): StagedWork {
  const { node, mac, serial, revision } = by;
  const entry = findEntry(facts, node);
  const { fields: own } = entry.record;
  const plan = planNodeReplace(own, mergeFields(own, profileFields(facts)), mac);
  refuseKnownMac(facts, node, mac);
  const reason = author.reason === undefined ? "" : `: ${author.reason}`;
  return {
    author,
    changes: [{ kind: "node", name: node, revision, fields: plan.fields }],
    also: async (tx, at): Promise<AlsoDone> => {
      const voided = await voidIdentities(
        tx,
        [node],
        () => `another machine is ${node} now (replaced by ${author.user}${reason})`,
        at,
      );
      const readmitted = await readmitMachines(tx, [mac]);
      const refused = refusedOf(node, entry.node.machine, plan.oldMacs, author, at);
      const asked = pending.find(({ bootMac }) => bootMac === mac);
      return {
        ...{ denied: voided.denied, machines: new Map([[node, serial === undefined ? {} : { serial }]]) },
        effects: [
          ...voided.effects,
          ...readmitted,
          ...(refused === undefined ? [] : [await refuseMachine(tx, withoutSharedId(refused, asked))]),
        ],
      };
    },
  };
}

/** The change that exchanges the machines behind two nodes. */
export function planExchange(
  facts: InventoryFacts,
  [a, b]: readonly [SeenNode, SeenNode],
  author: Author,
): StagedWork {
  if (a.name === b.name) {
    throw new MusterError({
      code: "argument-invalid",
      what: `${a.name} and ${b.name} are one node`,
      fix: "name two",
    });
  }
  const [first, second] = [findEntry(facts, a.name), findEntry(facts, b.name)];
  const [ofA, ofB] = planNodeSwap(first.record.fields, second.record.fields);
  const reason = author.reason === undefined ? "" : `: ${author.reason}`;
  return {
    author,
    changes: [
      { kind: "node", ...a, fields: ofA },
      { kind: "node", ...b, fields: ofB },
    ],
    also: async (tx, at): Promise<AlsoDone> => {
      const { denied, effects } = await voidIdentities(
        tx,
        [a.name, b.name],
        (node) =>
          `the machines of ${a.name} and ${b.name} were swapped by ${author.user}${reason}; ${node} must restart`,
        at,
      );
      const known: readonly (readonly [string, MachineId])[] = [
        [a.name, second.node.machine],
        [b.name, first.node.machine],
      ];
      return { denied, effects, machines: new Map(known) };
    },
  };
}

function findEntry(facts: InventoryFacts, node: NodeName): NodeEntry {
  const entry = facts.findNode(node);
  if (entry === undefined) throw unknownNodes([node]);
  return entry;
}

function refuseKnownMac(facts: InventoryFacts, node: NodeName, mac: MacAddress): void {
  const owner = facts.findClaim(claimKey({ field: "mac", value: mac }));
  if (owner === undefined) return;
  if (owner.owner === node) {
    throw new MusterError({
      code: "argument-invalid",
      what: `${mac} is ${owner.where} of ${node} already: that is the machine it has`,
      fix: `give the MAC of the new machine; if it is the same machine that boots from another card: muster node set ${node} --primary-device NAME`,
    });
  }
  throw new MusterError({
    code: "mac-in-use",
    what: `${mac} belongs to ${owner.owner}, ${owner.where}`,
    fix: `exchange the machines of the two (muster node swap ${node} ${owner.owner}), or delete ${owner.owner} first`,
  });
}

/** Undefined for a node whose machine nobody knows. */
function refusedOf(
  node: NodeName,
  { smbiosUuid, serial }: MachineId,
  macs: readonly MacAddress[],
  { user, reason }: Author,
  at: Date,
): RefusedMachine | undefined {
  const [mac] = macs;
  if (mac === undefined) return undefined;
  return {
    ...{ mac, macs, node, user, at },
    ...(smbiosUuid === undefined ? {} : { smbiosUuid }),
    ...(serial === undefined ? {} : { serial }),
    ...(reason === undefined ? {} : { reason }),
  };
}

/** The same board with a new card waits already: only its old card is gone for good. */
function withoutSharedId(refused: RefusedMachine, asked: PendingMachine | undefined): RefusedMachine {
  if (asked === undefined || refused.smbiosUuid !== asked.smbiosUuid) return refused;
  const { mac, macs, node, user, at, reason } = refused;
  return { mac, macs, node, user, at, ...(reason === undefined ? {} : { reason }) };
}
