import { readMacAddress } from "#proto/contract/mac-address.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import type { EnrolRequest } from "#proto/gen/muster/v1/enrollment.ts";
import type { PendingMachine } from "../inventory/inventory.ts";
import { parsePrintable } from "../sessions/parse-boot-report.ts";
import { BOOT_ID } from "./parse-node-certificate.ts";

/** What a machine says of itself, as it is listed while it waits; `macs` holds the boot MAC too. */
type MachineFacts = Omit<PendingMachine, "claimCode" | "address" | "keyHash" | "firstSeenAt" | "lastSeenAt">;

/** What a machine claims, with every field in its one spelling and within limits. */
export interface EnrolFacts extends MachineFacts {
  readonly protocolVersion: number;
  readonly bootId: string;
  /** Undefined in discovery. */
  readonly token: string | undefined;
  /** The node a booted machine says it is; undefined in the initramfs. */
  readonly bootedNode: string | undefined;
  readonly csrDer: Uint8Array;
  readonly uptimeMs: number;
}

/** A P-256 request is 250 bytes; names and attributes we ignore may add to it. */
const MAX_CSR_BYTES = 4096;
/** The largest machines with virtual functions show a few hundred. */
const MAX_MACS = 512;
const MAX_TOKEN = 128;
/** SMBIOS strings may be 255 bytes; what people need fits in less. */
const MAX_TEXT = 128;
const MAX_PROTOCOL_VERSION = 1_000_000;

/**
 * Reads an enrolment request. Throws `request-invalid` naming all fields that are wrong: only the agent's
 * author can mend it, so it says what, not how.
 *
 * Descriptive strings come from firmware and hold anything: they are made printable and cut, not refused.
 */
export function validateEnrolRequest(request: EnrolRequest): EnrolFacts {
  const findings: string[] = [];
  const check = (field: string, good: boolean): void => {
    if (!good) findings.push(field);
  };
  const machine = request.machine;
  if (machine === undefined) throw invalid(["machine"]);
  const bootMac = readMacAddress(machine.bootMac);
  const smbiosUuid = machine.smbiosUuid.toLowerCase();
  check("machine.boot_mac", bootMac !== undefined);
  check("machine.macs", machine.macs.length <= MAX_MACS);
  check(
    "machine.smbios_uuid",
    smbiosUuid === "" || /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(smbiosUuid),
  );
  check("machine.architecture", /^[a-z0-9_]{1,16}$/.test(machine.architecture));
  check("machine.firmware", ["bios", "efi"].includes(machine.firmware));
  check("boot_id", BOOT_ID.test(request.bootId));
  check("token", /^[A-Za-z0-9_-]*$/.test(request.token) && request.token.length <= MAX_TOKEN);
  check("node_name", /^[A-Za-z0-9.-]{0,253}$/.test(request.nodeName));
  const csrBytes = request.certificateRequest.length;
  check("certificate_request", csrBytes > 0 && csrBytes <= MAX_CSR_BYTES);
  check("protocol_version", request.protocolVersion <= MAX_PROTOCOL_VERSION);
  if (findings.length > 0 || bootMac === undefined) throw invalid(findings);
  const macs = machine.macs.map(readMacAddress).filter((mac) => mac !== undefined);
  return {
    protocolVersion: request.protocolVersion,
    bootId: request.bootId,
    token: request.token === "" ? undefined : request.token,
    bootedNode: request.nodeName === "" ? undefined : request.nodeName,
    csrDer: request.certificateRequest,
    uptimeMs: request.uptimeMs,
    bootMac,
    macs: [...new Set([bootMac, ...macs])],
    machineKey: `${smbiosUuid}/${bootMac}`,
    smbiosUuid,
    serial: parsePrintable(machine.serial, MAX_TEXT),
    vendor: parsePrintable(machine.vendor, MAX_TEXT),
    product: parsePrintable(machine.product, MAX_TEXT),
    architecture: machine.architecture,
    firmware: machine.firmware,
    cpus: machine.cpus,
    sockets: machine.sockets,
    memoryBytes: machine.memoryBytes,
    cpuModel: parsePrintable(machine.cpuModel, MAX_TEXT),
  };
}

function invalid(fields: readonly string[]): MusterError {
  return new MusterError({
    code: "request-invalid",
    what: `enrolment request refused: ${fields.join(", ")} missing, malformed or too long`,
    fix: "use the agent of this controller's release: power-cycle the node so that it loads the current initramfs",
  });
}
