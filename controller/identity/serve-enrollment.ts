import type { ServerWritableStream } from "@grpc/grpc-js";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { OLDEST_SERVED_PROTOCOL_VERSION, PROTOCOL_VERSION } from "#proto/contract/protocol-version.ts";
import type { EnrollmentServer, EnrolRequest, EnrolResponse } from "#proto/gen/muster/v1/enrollment.ts";
import { grpcErrorFrom } from "#proto/host/grpc-errors.ts";
import { callerOf } from "../api/grpc/authorize-calls.ts";
import type { ApprovalRule } from "../config/muster-config.ts";
import type { Telemetry } from "../events/telemetry.ts";
import type { Inventory, PendingMachine } from "../inventory/inventory.ts";
import { findRefusal, refusalError } from "../machines/plan-refusal.ts";
import type { Fleet } from "../sessions/fleet.ts";
import type { SessionService } from "../sessions/serve-session.ts";
import type { CertificateAuthority } from "./certificate-authority.ts";
import { makeClaimCode } from "./claim-codes.ts";
import { approvalTokenOf, redeemToken, type TokenStore } from "./enrolment-tokens.ts";
import type { EnrolmentDesk } from "./open-enrolments.ts";
import { planApproval } from "./plan-approval.ts";
import { type EnrolmentDecision, planEnrolment, type TokenRedemption } from "./plan-enrolment.ts";
import { type EnrolFacts, validateEnrolRequest } from "./validate-enrol-request.ts";
import type { ImpostorAttempt } from "./watch-impostors.ts";

/** What enrolment works with. */
export interface EnrollmentParts {
  readonly inventory: TokenStore &
    Pick<
      Inventory,
      | "findNode"
      | "findNodeByMac"
      | "listNodes"
      | "listPending"
      | "recordPending"
      | "deletePending"
      | "recordIdentity"
      | "findIdentity"
      | "findDeniedBoot"
      | "listRefusedMachines"
      | "recordMachine"
    >;
  readonly authority: Pick<CertificateAuthority, "certificateDer" | "readRequest" | "issueNode">;
  readonly desk: EnrolmentDesk;
  readonly fleet: Pick<Fleet, "pendingSeen" | "enrolled">;
  /** Whether the node lives on in the boot of its session; takes seconds at most. */
  readonly isUp: SessionService["isUp"];
  readonly onImpostor: (attempt: ImpostorAttempt) => void;
  readonly telemetry: Pick<Telemetry, "recordEvent">;
  readonly rules: readonly ApprovalRule[];
  readonly maxPending: number;
  readonly certificateSeconds: number;
  /** host:port of Provisioning and Session, in the order agents try them. */
  readonly agentAddresses: readonly string[];
  readonly now: () => Date;
  readonly onBug: (error: unknown, method: string) => void;
}

/** Machines that have not been seen for this long make room when the list is full. */
const STALE_PENDING_MS = 24 * 3600 * 1000;
/** The same refusal of the same machine is one event in this time. */
const REPEAT_EVENT_MS = 60_000;
const MAX_REMEMBERED_EVENTS = 10_000;
/** Rules that race for names, approvals that expire while they are read: each turn decides anew. */
const MAX_TURNS = 20;

/** The Enrollment service: from a stranger's request to a certificate, at once or after an operator's decision. */
export function serveEnrollment(parts: EnrollmentParts): EnrollmentServer {
  const recordRefusal = makeRefusalRecorder(parts);
  return {
    enrol: (call) => {
      const gone = new AbortController();
      call.on("cancelled", () => {
        gone.abort(new Error("the machine closed its stream"));
      });
      enrol(parts, call, gone.signal).then(
        () => call.end(),
        (error: unknown) => {
          if (gone.signal.aborted) return;
          if (error instanceof MusterError) recordRefusal(error, callerOf(call).address, call.request);
          else parts.onBug(error, "Enrol");
          call.emit("error", grpcErrorFrom(error));
        },
      );
    },
  };
}

async function enrol(
  parts: EnrollmentParts,
  call: ServerWritableStream<EnrolRequest, EnrolResponse>,
  signal: AbortSignal,
): Promise<void> {
  const { address } = callerOf(call);
  const facts = validateEnrolRequest(call.request);
  const { keyHash } = await parts.authority.readRequest(facts.csrDer);
  let shownCode: string | undefined;
  for (let turn = 0; turn < MAX_TURNS; turn += 1) {
    signal.throwIfAborted();
    const decision = await decide(parts, facts, keyHash, address);
    if (decision.kind === "refuse") {
      if (decision.isImpostor) await tellImpostor(parts, facts, address);
      throw decision.error;
    }
    if (decision.kind === "accept") {
      await accept(parts, call, facts, decision.node);
      return;
    }
    const machine = await list(parts, facts, keyHash, address);
    if (decision.kind === "approve") {
      await approveByRule(parts, machine, decision, { keyHash, bootMac: facts.bootMac, address });
      continue;
    }
    if (machine.claimCode !== shownCode) {
      shownCode = machine.claimCode;
      parts.fleet.pendingSeen(
        { bootId: facts.bootId, uptimeMs: facts.uptimeMs, stages: [], mac: facts.bootMac, address },
        parts.now(),
      );
      call.write({ event: { $case: "pending", value: { claimCode: machine.claimCode } } });
    }
    await parts.desk.waitForDecision(machine.claimCode, { keyHash, bootMac: facts.bootMac, address }, signal);
  }
  throw new Error("an enrolment did not settle");
}

async function decide(
  parts: EnrollmentParts,
  facts: EnrolFacts,
  keyHash: string,
  address: string,
): Promise<EnrolmentDecision> {
  const { inventory } = parts;
  // A booted node has no token to use up.
  const redemption = facts.bootedNode === undefined ? await redeem(parts, facts, keyHash, address) : "absent";
  const redeemedNode =
    redemption !== "absent" && redemption.kind === "redeemed"
      ? await inventory.findNode(redemption.node)
      : undefined;
  const knownNode = await inventory.findNodeByMac(facts.bootMac);
  const claimed = (redeemedNode ?? knownNode)?.name;
  const identity = claimed === undefined ? undefined : await inventory.findIdentity(claimed);
  const holdsIdentity = identity?.keyHash === keyHash && identity.bootId === facts.bootId;
  const isApproved = facts.token === undefined && redemption !== "absent";
  const taken = parts.rules.length === 0 ? [] : (await inventory.listNodes()).map((node) => node.name);
  const pending = await inventory.listPending();
  const isListed = pending.some((machine) => machine.machineKey === facts.machineKey);
  return planEnrolment({
    protocolVersion: facts.protocolVersion,
    // An agent that is one release ahead speaks our version too.
    served: { oldest: OLDEST_SERVED_PROTOCOL_VERSION, newest: PROTOCOL_VERSION + 1 },
    redemption,
    redeemedNodeExists: redeemedNode !== undefined,
    isUp: claimed !== undefined && !holdsIdentity && !isApproved && (await parts.isUp(claimed)),
    deniedWhy:
      claimed === undefined ? undefined : (await inventory.findDeniedBoot(claimed, facts.bootId))?.why,
    knownNode: knownNode?.name,
    refusal: knownNode === undefined ? await findRefusalOf(parts, facts) : undefined,
    bootedNode: facts.bootedNode,
    holdsIdentity,
    approval: planApproval(parts.rules, { ...facts, address }, new Set(taken)),
    pending: { isListed, count: await countAfterPruning(parts, pending), limit: parts.maxPending },
  });
}

async function findRefusalOf(
  { inventory }: Pick<EnrollmentParts, "inventory">,
  facts: EnrolFacts,
): Promise<MusterError | undefined> {
  const refused = findRefusal(await inventory.listRefusedMachines(), facts);
  return refused === undefined ? undefined : refusalError(refused);
}

async function tellImpostor(parts: EnrollmentParts, facts: EnrolFacts, address: string): Promise<void> {
  const node = (await parts.inventory.findNodeByMac(facts.bootMac))?.name;
  if (node === undefined) return;
  const { bootMac: mac, smbiosUuid, serial } = facts;
  const presented =
    facts.bootedNode !== undefined
      ? "the name of a booted node and a key that is not its"
      : facts.token === undefined
        ? "its MAC address"
        : "a one-time token";
  parts.onImpostor({ node, address, mac, smbiosUuid, serial, presented });
}

async function redeem(
  parts: EnrollmentParts,
  facts: EnrolFacts,
  keyHash: string,
  address: string,
): Promise<TokenRedemption | "absent"> {
  const presented = {
    inventory: parts.inventory,
    keyHash,
    bootMac: facts.bootMac,
    sourceAddress: address,
    now: parts.now(),
  };
  if (facts.token !== undefined) return redeemToken({ ...presented, token: facts.token });
  const approval = await redeemToken({ ...presented, token: approvalTokenOf(keyHash) });
  // Nobody claimed to be approved: an approval that does not hold is none.
  return approval.kind === "redeemed" ? approval : "absent";
}

async function countAfterPruning(
  parts: EnrollmentParts,
  pending: readonly PendingMachine[],
): Promise<number> {
  if (pending.length < parts.maxPending) return pending.length;
  const stale = pending.filter(
    (machine) =>
      !parts.desk.isWaiting(machine.claimCode) &&
      parts.now().getTime() - machine.lastSeenAt.getTime() > STALE_PENDING_MS,
  );
  for (const machine of stale) {
    // Two enrolments may prune at once; that one was faster is no error.
    await parts.inventory.deletePending(machine.claimCode).catch((error: unknown) => {
      if (!(error instanceof MusterError) || error.code !== "machine-not-pending") throw error;
    });
  }
  return pending.length - stale.length;
}

async function list(
  parts: EnrollmentParts,
  facts: EnrolFacts,
  keyHash: string,
  address: string,
): Promise<PendingMachine> {
  const { machineKey, bootMac, macs, smbiosUuid, serial, vendor, product } = facts;
  const { architecture, firmware, cpus, sockets, memoryBytes, cpuModel } = facts;
  const claimCode = makeClaimCode();
  const machine = await parts.inventory.recordPending(
    {
      ...{ claimCode, machineKey, bootMac, macs, smbiosUuid, serial, vendor, product },
      ...{ architecture, firmware, cpus, sockets, memoryBytes, cpuModel, address, keyHash },
    },
    parts.now(),
  );
  if (machine.claimCode === claimCode) {
    parts.telemetry.recordEvent({
      severity: "info",
      kind: "machine-pending",
      what: `machine ${claimCode} (${bootMac}, ${vendor} ${product}) waits for approval`,
      fix: `muster node approve ${claimCode} --name NAME`,
    });
  }
  return machine;
}

/** A name that was taken in the meantime is no error: the next turn finds another. */
async function approveByRule(
  parts: EnrollmentParts,
  machine: PendingMachine,
  decision: Extract<EnrolmentDecision, { kind: "approve" }>,
  waiting: Parameters<EnrolmentDesk["waitForDecision"]>[1],
): Promise<void> {
  const here = new AbortController();
  // Waiting binds the approval to this machine's key, as it does for an operator's approval.
  const decided = parts.desk.waitForDecision(machine.claimCode, waiting, here.signal);
  const settled = decided.catch(() => undefined);
  try {
    await parts.desk.approveNew(
      machine.claimCode,
      { name: decision.name, fields: decision.image === undefined ? {} : { image: decision.image } },
      { user: "enrolment", reason: "approval rule" },
    );
  } catch (error) {
    if (!(error instanceof MusterError) || !["node-exists", "machine-not-pending"].includes(error.code))
      throw error;
  } finally {
    here.abort();
    await settled;
  }
}

async function accept(
  parts: EnrollmentParts,
  call: ServerWritableStream<EnrolRequest, EnrolResponse>,
  facts: EnrolFacts,
  node: NodeName,
): Promise<void> {
  const issued = await parts.authority.issueNode({
    csrDer: facts.csrDer,
    node,
    bootId: facts.bootId,
    lifetimeSeconds: parts.certificateSeconds,
  });
  await parts.inventory.recordIdentity({
    node,
    bootId: facts.bootId,
    keyHash: issued.keyHash,
    certificateSerial: issued.serial,
    issuedAt: parts.now(),
    expiresAt: issued.expiresAt,
  });
  await tellChangedMachine(parts, facts, node);
  await parts.inventory.recordMachine(node, {
    ...(facts.smbiosUuid === "" ? {} : { smbiosUuid: facts.smbiosUuid }),
    ...(facts.serial === "" ? {} : { serial: facts.serial }),
  });
  const { address } = callerOf(call);
  parts.fleet.enrolled(
    { bootId: facts.bootId, uptimeMs: facts.uptimeMs, stages: [], mac: facts.bootMac, address, node },
    parts.now(),
  );
  call.write({
    event: {
      $case: "accepted",
      value: {
        nodeName: node,
        certificate: issued.certificateDer,
        authority: parts.authority.certificateDer,
        agentAddresses: [...parts.agentAddresses],
      },
    },
  });
}

/** Another mainboard under a known MAC address is a repair, or somebody else's machine: people should know. */
async function tellChangedMachine(
  parts: Pick<EnrollmentParts, "inventory" | "telemetry">,
  facts: EnrolFacts,
  node: NodeName,
): Promise<void> {
  const before = (await parts.inventory.findNode(node))?.machine.smbiosUuid;
  if (before === undefined || facts.smbiosUuid === "" || before === facts.smbiosUuid) return;
  parts.telemetry.recordEvent({
    severity: "warning",
    kind: "machine-changed",
    node,
    what: `${node} is another machine than before: SMBIOS UUID ${facts.smbiosUuid}, was ${before}`,
    fix: "nothing, if its board was replaced; otherwise see who has its network card's address",
  });
}

function makeRefusalRecorder(
  parts: Pick<EnrollmentParts, "telemetry" | "now">,
): (error: MusterError, address: string, request: EnrolRequest) => void {
  const recorded = new Map<string, number>();
  return (error, address, request) => {
    const key = `${address} ${error.code} ${error.message}`;
    const nowMs = parts.now().getTime();
    if (nowMs - (recorded.get(key) ?? -Infinity) < REPEAT_EVENT_MS) return;
    if (recorded.size >= MAX_REMEMBERED_EVENTS) recorded.clear();
    recorded.set(key, nowMs);
    const mac = /^[0-9a-f:]{17}$/.exec(request.machine?.bootMac ?? "")?.[0] ?? "no valid MAC";
    parts.telemetry.recordEvent({
      severity: "warning",
      kind: error.code,
      what: `machine at ${address} (${mac}) was turned away: ${error.message}`,
      ...(error.fix === undefined ? {} : { fix: error.fix }),
    });
  };
}
