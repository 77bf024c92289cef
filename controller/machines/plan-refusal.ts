import type { MacAddress } from "#proto/contract/mac-address.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import type { RefusedMachine } from "../inventory/inventory.ts";

/** What a machine says of itself. */
interface MachineFacts {
  readonly macs: readonly MacAddress[];
  readonly smbiosUuid: string;
  readonly serial: string;
}

/**
 * Whether a machine that no node is known by is one that was replaced. A MAC decides. So does the SMBIOS UUID, unless the
 * serial numbers say that they are two machines: some boards leave the factory with the same UUID, which also says nothing
 * when it is one of those below.
 *
 * A MAC that the inventory gives to a node is the node's, whatever stands here: the caller asks only about others.
 */
export function findRefusal(
  refused: readonly RefusedMachine[],
  machine: MachineFacts,
): RefusedMachine | undefined {
  const byMac = refused.find(({ macs }) => macs.some((mac) => machine.macs.includes(mac)));
  if (byMac !== undefined) return byMac;
  const uuid = machine.smbiosUuid.toLowerCase();
  if (!isTelling(uuid)) return undefined;
  return refused.find(
    ({ smbiosUuid, serial = "" }) =>
      smbiosUuid?.toLowerCase() === uuid &&
      (serial === "" || machine.serial === "" || serial === machine.serial),
  );
}

/** DMTF DSP0134 7.2.1: all zeros and all ones are "not there"; the third is what one vendor writes on every board. */
function isTelling(uuid: string): boolean {
  return (
    uuid !== "" &&
    !/^[0-]+$/.test(uuid) &&
    !/^[f-]+$/.test(uuid) &&
    uuid !== "03000200-0400-0500-0006-000700080009"
  );
}

/** What a machine that was replaced is told, and so are people. */
export function refusalError({ mac, node, user, at, reason }: RefusedMachine): MusterError {
  const why = reason === undefined ? "" : ` (${reason})`;
  return new MusterError({
    code: "enrolment-refused",
    what: `this machine was replaced as ${node} by ${user} on ${at.toISOString().slice(0, 10)}${why}`,
    fix: `ask the operator; to let it in again: muster node refused readmit ${mac}`,
  });
}
