import { errorSentence } from "#proto/contract/muster-error.ts";
import { type NodeName, parseNodeName } from "#proto/contract/node-name.ts";

/** The name of a node in a host name of another program: its first label, in lower case, since DNS is (RFC 4343). */
export function readNodeLabel(hostName: string): { readonly name: NodeName } | { readonly problem: string } {
  const [label = ""] = hostName.toLowerCase().split(".");
  try {
    return { name: parseNodeName(label) };
  } catch (error) {
    return { problem: errorSentence(error) };
  }
}

/** What stands behind the first label: "cluster.example" of "c001.cluster.example"; empty without. */
export function domainOf(hostName: string): string {
  const dot = hostName.indexOf(".");
  return dot < 0 ? "" : hostName.slice(dot + 1).toLowerCase();
}

/** How a site names what is not the device a node boots from: "-ib" -> "ib0", "-ipmi" -> "bmc". */
export type NameSuffixes = ReadonlyMap<string, string>;

/** Device that means the management controller. */
export const BMC_DEVICE = "bmc";

/** The names a host name may stand for: itself, and without the longest suffix that it ends in. */
export function splitSuffix(
  label: string,
  suffixes: NameSuffixes,
): { readonly stem: string; readonly device: string } | undefined {
  let found: { readonly stem: string; readonly device: string } | undefined;
  for (const [suffix, device] of suffixes) {
    if (!label.endsWith(suffix) || label.length === suffix.length) continue;
    const stem = label.slice(0, -suffix.length);
    if (found === undefined || stem.length < found.stem.length) found = { stem, device };
  }
  return found;
}

/** Where the address of a device, or of the BMC, is kept. */
export function addressPath(device: string, isIpv6: boolean): readonly string[] | undefined {
  if (device !== BMC_DEVICE) return ["devices", device, isIpv6 ? "address6" : "address"];
  return isIpv6 ? undefined : ["bmc", "address"];
}
