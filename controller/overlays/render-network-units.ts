import { lastAddressOf, networkOf, readIpv4, readIpv4Network } from "../config/ipv4.ts";
import type { MusterConfig } from "../config/muster-config.ts";
import type { NetworkDevice } from "../inventory/inventory.ts";

/** A unit for /etc/systemd/network. */
export interface NetworkUnit {
  readonly name: string;
  readonly text: string;
}

/**
 * The systemd-networkd units (systemd.network(5), systemd.link(5); 247 to 257) of a node's devices.
 *
 * Only the units: whether systemd-networkd runs is the image's affair. An image that uses NetworkManager or
 * ifupdown ignores them and finds the boot interface as the initramfs left it, up and with its address;
 * enabling networkd by a link here would start a second manager in such an image, or leave a dangling link
 * where it is not installed.
 *
 * The boot interface keeps address and routes while networkd takes it over (KeepConfiguration=yes; its older
 * name CriticalConnection= went in systemd 243), and asks DHCP with the MAC as its client id as the initramfs
 * and the firmware did: with systemd's own DUID the server would see another client and give another address.
 */
export function renderNetworkUnits(
  devices: readonly NetworkDevice[],
  network: MusterConfig["network"],
): readonly NetworkUnit[] {
  const boot = devices.find((device) => device.mac !== undefined);
  return devices.flatMap((device) => {
    const unit = `10-muster-${device.name}`;
    const link = renderLink(device, device === boot);
    return [
      { name: `${unit}.network`, text: renderNetwork(device, device === boot, network) },
      ...(link === undefined ? [] : [{ name: `${unit}.link`, text: link }]),
    ];
  });
}

function renderNetwork(device: NetworkDevice, isBoot: boolean, network: MusterConfig["network"]): string {
  const { address } = device;
  const gateway =
    device.gateway ?? (isBoot && isOnBootNetwork(address, network) ? network.gateway : undefined);
  return sections([
    ["Match", matchLines(device)],
    [
      "Link",
      [
        ...(device.mtu === undefined ? [] : [`MTUBytes=${device.mtu}`]),
        // A cable that is missing elsewhere must not hold up network-online.target for two minutes.
        ...(isBoot ? [] : ["RequiredForOnline=no"]),
      ],
    ],
    [
      "Network",
      [
        ...(address === undefined
          ? ["DHCP=ipv4"]
          : ["DHCP=no", `Address=${address}/${prefixOf(device, network)}`]),
        ...(gateway === undefined ? [] : [`Gateway=${gateway}`]),
        ...(isBoot ? ["KeepConfiguration=yes"] : []),
        ...(isBoot && address !== undefined
          ? [...network.dns.map((server) => `DNS=${server}`), `Domains=${network.domain}`]
          : []),
      ],
    ],
    ["DHCPv4", address === undefined ? ["ClientIdentifier=mac"] : []],
  ]);
}

/**
 * By MAC where the device is a card: its name is not known before udev has given it. VLANs, bonds and bridges
 * wear the MAC of a card, so Type= keeps the unit from matching them too; they, and InfiniBand, whose hardware
 * address is 20 bytes long, are matched by name.
 */
function matchLines(device: NetworkDevice): readonly string[] {
  return device.mac !== undefined && device.type === "ethernet"
    ? [`MACAddress=${device.mac}`, "Type=ether"]
    : [`Name=${device.name}`];
}

/**
 * Gives the card the name the inventory calls it by. Not for names of the kernel's own scheme (eth0): renaming
 * into it races with cards that appear later.
 *
 * The boot interface keeps the kernel's name, and the inventory's is an alternative name of it (`ip address show
 * eno1` works). It is up already, and kernels before 6.2 refuse to rename such; udev 252 then leaves it marked as
 * being renamed, and networkd waits for the end of that for ever: seen on Debian 12. So it has a .link in any
 * case, or systemd's 99-default.link would try.
 */
function renderLink(device: NetworkDevice, isBoot: boolean): string | undefined {
  if (device.mac === undefined || device.type !== "ethernet") return undefined;
  const isKernelName = /^(eth|wlan|ib)\d+$/.test(device.name);
  if (isKernelName && !isBoot) return undefined;
  return sections([
    ["Match", [`MACAddress=${device.mac}`, "Type=ether"]],
    // The first .link that matches is the only one: what systemd's 99-default.link would do has to be said.
    [
      "Link",
      [
        ...(isBoot ? [] : [`Name=${device.name}`]),
        ...(isBoot && !isKernelName ? [`AlternativeName=${device.name}`] : []),
        "AlternativeNamesPolicy=database onboard slot path",
        "MACAddressPolicy=none",
        ...(device.mtu === undefined ? [] : [`MTUBytes=${device.mtu}`]),
      ],
    ],
  ]);
}

function sections(parts: readonly (readonly [name: string, lines: readonly string[]])[]): string {
  const texts = parts
    .filter(([, lines]) => lines.length > 0)
    .map(([name, lines]) => `[${name}]\n${lines.join("\n")}\n`);
  return `# written by muster at each boot; changes here are lost\n${texts.join("\n")}`;
}

function prefixOf(device: NetworkDevice, network: MusterConfig["network"]): number {
  if (device.netmask === undefined) return readIpv4Network(network.subnet)?.prefix ?? 24;
  return (readIpv4(device.netmask) ?? 0).toString(2).replaceAll("0", "").length;
}

function isOnBootNetwork(address: string | undefined, network: MusterConfig["network"]): boolean {
  const subnet = readIpv4Network(network.subnet);
  const number = readIpv4(address ?? "");
  if (subnet === undefined || number === undefined) return false;
  const { base, prefix } = networkOf(subnet.address, subnet.prefix);
  return number > base && number < lastAddressOf({ base, prefix });
}
