import { namedDeviceOf, type RenderedExport } from "./plan-exported-nodes.ts";

/** What a hosts file says of a node. */
export interface HostsNode {
  readonly name: string;
  readonly devices: readonly {
    readonly name: string;
    readonly mac?: string;
    readonly address?: string;
    readonly address6?: string;
  }[];
  readonly bmc?: { readonly address?: string };
}

/**
 * Lines of hosts(5). The name of a node stands for the address it boots with (else its first), and so does NAME-DEVICE; its
 * other addresses are NAME-DEVICE, that of its BMC is NAME-bmc. With `domain` each name has its long form in front.
 */
export function renderHosts(nodes: readonly HostsNode[], domain?: string): RenderedExport {
  const names = new Set(nodes.map(({ name }) => name));
  const lines: string[] = [];
  const notes: string[] = [];
  for (const { name, devices, bmc } of nodes) {
    const first = namedDeviceOf(devices);
    const own = domain === undefined ? [name] : [`${name}.${domain}`, name];
    const aliases = (device: string): readonly string[] => {
      const alias = `${name}-${device}`;
      if (!names.has(alias)) return [alias];
      notes.push(`${alias} is a node: device ${device} of ${name} has no name in the file`);
      return [];
    };
    const add = (address: string | undefined, words: readonly string[]): void => {
      if (address !== undefined && words.length > 0) lines.push(`${address} ${words.join(" ")}`);
    };
    for (const device of devices) {
      if (device.address === undefined && device.address6 === undefined) continue;
      const words = [...(device === first ? own : []), ...aliases(device.name)];
      add(device.address, words);
      add(device.address6, first === undefined && device === devices[0] ? [...own, ...words] : words);
    }
    if (bmc?.address !== undefined) add(bmc.address, aliases("bmc"));
    if (first === undefined && devices.every(({ address6 }) => address6 === undefined)) {
      notes.push(`${name} has no address`);
    }
  }
  return { text: lines.map((line) => `${line}\n`).join(""), notes };
}
