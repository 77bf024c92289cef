import type { MacAddress } from "#proto/contract/mac-address.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { Telemetry } from "../events/telemetry.ts";
import type {
  Author,
  Inventory,
  NetworkDevice,
  Node,
  NodeFields,
  PendingMachine,
} from "../inventory/inventory.ts";
import { readClaimCode } from "./claim-codes.ts";
import { approvalTokenOf, hashOf } from "./enrolment-tokens.ts";
import type { Enrolments } from "./enrolments.ts";

/** The key a machine waits with, and where from. */
interface WaitingMachine {
  readonly keyHash: string;
  readonly bootMac: MacAddress;
  readonly address: string;
}

/** Where machines wait and operators decide. */
export interface EnrolmentDesk extends Enrolments {
  /**
   * Resolves when the machine was approved; its key can then be redeemed as a token ({@link approvalTokenOf}).
   * Throws `enrolment-refused` when it was rejected or when another machine took its place, and the reason
   * of `signal` when the machine went away.
   *
   * One machine waits per claim code, the latest: two that claim the same UUID and MAC share a code, and
   * approving it must not let both in.
   */
  waitForDecision(claimCode: string, machine: WaitingMachine, signal: AbortSignal): Promise<void>;
  isWaiting(claimCode: string): boolean;
  /** As approve, but `node-exists` when the name is taken: what rules may do. */
  approveNew(
    claimCode: string,
    node: { readonly name: NodeName; readonly fields: Partial<NodeFields> },
    author: Author,
  ): Promise<Node>;
}

interface Waiter {
  readonly machine: WaitingMachine;
  readonly approved: () => void;
  readonly refused: (error: MusterError) => void;
}

type DeskInventory = Pick<
  Inventory,
  | "listPending"
  | "findNode"
  | "findNodeByMac"
  | "findImage"
  | "approvePending"
  | "deletePending"
  | "storeToken"
>;

/** An approved machine whose stream broke has this long to come back. */
const APPROVAL_SECONDS = 15 * 60;

/** What a node has that was approved without further fields. */
const NO_FIELDS: NodeFields = {
  kernelArguments: [],
  overlays: [],
  runtimeOverlays: [],
  tags: {},
  devices: [],
};

/** Opens the desk. Decisions are made one at a time, so that two rules never give out one name. */
export function openEnrolments(parts: {
  readonly inventory: DeskInventory;
  readonly telemetry: Pick<Telemetry, "recordEvent">;
  readonly now: () => Date;
}): EnrolmentDesk {
  const { inventory, telemetry, now } = parts;
  const waiters = new Map<string, Waiter>();
  const inTurn = makeQueue();

  async function approve(
    claimCode: string,
    node: { readonly name: NodeName; readonly fields: Partial<NodeFields> },
    author: Author,
    mustBeNew: boolean,
  ): Promise<Node> {
    const machine = await findPending(inventory, claimCode);
    const existing = await inventory.findNode(node.name);
    if (mustBeNew && existing !== undefined) {
      throw new MusterError({ code: "node-exists", what: `node ${node.name} exists` });
    }
    await refuseTakenMac(inventory, machine, node.name);
    await refuseUnknownImage(inventory, node.fields.image);
    const fields = planApprovedFields(existing, node.fields, machine.bootMac);
    const waiter = waiters.get(machine.claimCode);
    const approved = await inventory.approvePending(machine.claimCode, { name: node.name, fields }, author);
    const waiting = waiter?.machine ?? machine;
    if (waiting.keyHash !== undefined) {
      await inventory.storeToken({
        hash: hashOf(approvalTokenOf(waiting.keyHash)),
        node: approved.name,
        bootMac: waiting.bootMac,
        sourceAddress: waiting.address,
        expiresAt: new Date(now().getTime() + APPROVAL_SECONDS * 1000),
      });
    }
    telemetry.recordEvent({
      severity: "info",
      kind: "machine-approved",
      node: approved.name,
      what: `machine ${machine.claimCode} (${machine.bootMac}) approved as ${approved.name} by ${author.user}`,
      ...(waiter === undefined
        ? {
            // Between two tries while this controller was away, or switched off.
            fix: "it does not wait at this moment: it boots on when it asks again; power-cycle it if that takes minutes",
          }
        : {}),
    });
    waiter?.approved();
    return approved;
  }

  async function reject(claimCode: string, author: Author): Promise<void> {
    const machine = await findPending(inventory, claimCode);
    await inventory.deletePending(machine.claimCode);
    telemetry.recordEvent({
      severity: "info",
      kind: "machine-rejected",
      what: `machine ${machine.claimCode} (${machine.bootMac}) rejected by ${author.user}${author.reason === undefined ? "" : `: ${author.reason}`}`,
    });
    waiters
      .get(machine.claimCode)
      ?.refused(
        refused(
          "an operator rejected this machine",
          "ask the operator; `muster node pending` lists it again at its next boot",
        ),
      );
  }

  return {
    approve: (claimCode, node, author) => inTurn(() => approve(claimCode, node, author, false)),
    approveNew: (claimCode, node, author) => inTurn(() => approve(claimCode, node, author, true)),
    reject: (claimCode, author) => inTurn(() => reject(claimCode, author)),
    isWaiting: (claimCode) => waiters.has(claimCode),
    waitForDecision: (claimCode, machine, signal) => {
      const earlier = waiters.get(claimCode);
      if (earlier !== undefined && earlier.machine.keyHash !== machine.keyHash) {
        telemetry.recordEvent({
          severity: "warning",
          kind: "machine-duplicate",
          what: `a second machine at ${machine.address} claims to be ${claimCode} (${machine.bootMac}), which waits at ${earlier.machine.address}`,
          fix: "expected after a power cycle; otherwise compare the claim code on the console before you approve",
        });
      }
      earlier?.refused(
        refused(
          "another machine with this UUID and MAC asked after it",
          "if both exist, give one another SMBIOS UUID",
        ),
      );
      return new Promise((resolve, reject) => {
        const leave = (): void => {
          signal.removeEventListener("abort", onAbort);
          if (waiters.get(claimCode) === waiter) waiters.delete(claimCode);
        };
        const onAbort = (): void => {
          leave();
          reject(signal.reason instanceof Error ? signal.reason : new Error("the machine went away"));
        };
        const waiter: Waiter = {
          machine,
          approved: () => {
            leave();
            resolve();
          },
          refused: (error) => {
            leave();
            reject(error);
          },
        };
        waiters.set(claimCode, waiter);
        signal.addEventListener("abort", onAbort, { once: true });
        if (signal.aborted) onAbort();
      });
    },
  };
}

/**
 * What the operator gave, and the device the machine booted from: under the name of the boot device of the
 * node that exists (its hardware was replaced), else "eth0" until the node tells what its kernel calls it.
 * The inventory merges this into a node that exists.
 */
function planApprovedFields(
  existing: Node | undefined,
  given: Partial<NodeFields>,
  bootMac: MacAddress,
): NodeFields {
  const fields: NodeFields = { ...NO_FIELDS, ...given };
  if (fields.devices.some((device) => device.mac === bootMac)) return fields;
  const replaced = existing?.devices.find((device) => device.mac !== undefined);
  const boot: NetworkDevice = { name: replaced?.name ?? "eth0", type: "ethernet", mac: bootMac };
  return { ...fields, devices: [boot, ...fields.devices] };
}

async function findPending(
  inventory: Pick<DeskInventory, "listPending">,
  claimCode: string,
): Promise<PendingMachine> {
  const code = readClaimCode(claimCode);
  const machine = (await inventory.listPending()).find((pending) => pending.claimCode === code);
  if (machine !== undefined) return machine;
  throw new MusterError({
    code: "machine-not-pending",
    what: `no machine with claim code ${JSON.stringify(claimCode.slice(0, 40))} waits for approval`,
    fix: "`muster node pending` lists those that do; the code is also on the machine's console",
  });
}

async function refuseTakenMac(
  inventory: Pick<DeskInventory, "findNodeByMac">,
  machine: PendingMachine,
  name: NodeName,
): Promise<void> {
  const owner = await inventory.findNodeByMac(machine.bootMac);
  if (owner === undefined || owner.name === name) return;
  throw new MusterError({
    code: "mac-in-use",
    what: `${machine.bootMac} belongs to node ${owner.name}`,
    fix: `approve it as ${owner.name}, or remove the MAC from ${owner.name} first`,
  });
}

async function refuseUnknownImage(
  inventory: Pick<DeskInventory, "findImage">,
  image: string | undefined,
): Promise<void> {
  if (image === undefined || (await inventory.findImage(image)) !== undefined) return;
  throw new MusterError({
    code: "image-unknown",
    what: `there is no image ${JSON.stringify(image)}`,
    fix: "`muster image list` shows those there are",
  });
}

function refused(what: string, fix: string): MusterError {
  return new MusterError({ code: "enrolment-refused", what, fix });
}

function makeQueue(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work, work);
    last = result.catch(() => undefined);
    return result;
  };
}
