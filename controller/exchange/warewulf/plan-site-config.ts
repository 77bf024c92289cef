import type { ConfigFinding } from "../../config/config-finding.ts";
import { formatIpv4, networkOf, readIpv4 } from "../../config/ipv4.ts";
import { parseConfig } from "../../config/parse-config.ts";
import type { Json } from "../../fields/fields.ts";
import { parseNetmask } from "../../fields/parse-field-value.ts";
import { renderYamlTree } from "../../text/render-yaml-tree.ts";
import type { ImportItem } from "./import-item.ts";
import { type LocatedScalar, type LocatedValue, parseLocatedYaml } from "./parse-located-yaml.ts";

/** What a warewulf.conf means for muster.yaml. */
export interface SiteConfigPlan {
  /** What muster.yaml would say, as text to start from. */
  readonly musterYaml: string;
  /** What of it is not in there, and why. */
  readonly items: readonly ImportItem[];
  /** The file cannot be read. */
  readonly findings: readonly ConfigFinding[];
}

const HEADER = "# muster.yaml, from warewulf.conf: see what `muster config check` says of it\n";

/** Why a key has no counterpart, by its first words; the longest that fits counts. */
const REASONS: Readonly<Record<string, string>> = {
  WW_INTERNAL: "it is a mark of Warewulf's own",
  comment: "muster.yaml has comments of its own",
  netmask: "it is in network.subnet",
  network: "it is in network.subnet",
  ipaddr6: "muster's boot network is IPv4",
  prefixlen6: "muster's boot network is IPv4",
  ipv6net: "muster's boot network is IPv4",
  warewulf: "muster's programs have settings of their own",
  "warewulf.port": "muster has ports of its own: 9880 to 9884",
  "warewulf.tls port": "muster has ports of its own: 9880 to 9884",
  "warewulf.tls": "all but boot artifacts goes over TLS, always",
  "warewulf.secure": "every node proves who it is, whatever port it comes from",
  "warewulf.secure files": "every node proves who it is, whatever port it comes from",
  "warewulf.update interval":
    "runtime overlays are pushed when they change; overlays.schedule says when nodes look by themselves",
  "warewulf.autobuild overlays": "overlays are made when nodes ask for them",
  "warewulf.host overlay": "muster writes no files of its host",
  "warewulf.grubboot": "muster boots with iPXE",
  "warewulf.systemd name": "the unit is called musterd.service",
  api: "the API is api.remote in muster.yaml, and wants tokens: muster token create NAME",
  "dhcp.template": "every node with an address in the inventory gets that address",
  "dhcp.range6 start": "muster's boot network is IPv4",
  "dhcp.range6 end": "muster's boot network is IPv4",
  "dhcp.systemd name": "muster runs dnsmasq itself; turn the old server off",
  tftp: "muster serves boot loaders through its dnsmasq; turn the old server off",
  nfs: "exports stay as they are on this host, in /etc/exports; what nodes mount goes into an overlay of your own",
  ssh: "every node has an ed25519 and an ecdsa host key",
  "image mounts": "images are made from trees of your own: muster image import",
  "container mounts": "images are made from trees of your own: muster image import",
  paths: "muster has paths of its own: paths in muster.yaml",
  wwclient: "agents connect to the controller, from any port",
};

/** Decides what muster.yaml says for the site of a warewulf.conf of Warewulf 4.2 to 4.7. */
export function planSiteConfig(text: string): SiteConfigPlan {
  const { root, findings } = parseLocatedYaml(text);
  const leaves = new Map(root === undefined ? [] : listLeaves(root, ""));
  const taken = new Set<string>();
  const items: ImportItem[] = [];
  const take = (key: string): string | undefined => {
    const leaf = leaves.get(key);
    if (leaf === undefined || leaf.text === "") return undefined;
    taken.add(key);
    return leaf.text;
  };
  const config = planConfig(take);
  const musterYaml = `${HEADER}${renderYamlTree(config)}`;
  for (const [key, leaf] of leaves) {
    if (taken.has(key) || leaf.text === "") continue;
    const why = reasonFor(key) ?? "it is not a key of Warewulf";
    items.push({ ...leaf.at, kind: "file", name: "", key, value: leaf.text, outcome: "left", why });
  }
  if (findings.length === 0) items.push(...checkConfig(musterYaml, leaves));
  return { musterYaml, items, findings };
}

function planConfig(take: (key: string) => string | undefined): Readonly<Record<string, Json>> {
  const [address, length] = (take("ipaddr") ?? "").split("/");
  const mask = length ?? take("netmask");
  const network = take("network");
  const subnet = subnetOf(network ?? address, mask);
  const names = take("fqdn");
  const isServed = !/^(false|no|f|0)$/i.test(take("dhcp.enabled") ?? "true");
  const start = take("dhcp.range start");
  const end = take("dhcp.range end");
  return {
    controller: {
      ...(address === undefined || address === "" ? {} : { address }),
      ...(names === undefined ? {} : { names: [names] }),
    },
    network: subnet === undefined ? {} : { subnet },
    dhcp: {
      mode: isServed ? "dnsmasq" : "external",
      ...(start === undefined || end === undefined ? {} : { range: `${start}-${end}` }),
    },
  };
}

/** "10.0.0.0/22" of an address in it and its mask. */
function subnetOf(address: string | undefined, mask: string | undefined): string | undefined {
  const dotted = parseNetmask(mask ?? "");
  const number = readIpv4(address ?? "");
  if (!("value" in dotted) || number === undefined) return undefined;
  const prefix = (readIpv4(String(dotted.value)) ?? 0).toString(2).replaceAll("0", "").length;
  return `${formatIpv4(networkOf(number, prefix).base)}/${prefix}`;
}

/** What `muster config check` would say. */
function checkConfig(musterYaml: string, leaves: ReadonlyMap<string, LocatedScalar>): readonly ImportItem[] {
  const { findings = [] } = parseConfig(musterYaml, { cores: 1, ipxe: "/", artifacts: "/" });
  return findings.map(({ key, what, fix }) => {
    const at = leaves.get(SOURCES[key] ?? "")?.at ?? { line: 1, column: 1 };
    return {
      ...at,
      kind: "file",
      name: "",
      key: `muster.yaml: ${key}`,
      outcome: "changed",
      why: what,
      ...(fix === undefined ? {} : { fix }),
    };
  });
}

const SOURCES: Readonly<Record<string, string>> = {
  "controller.address": "ipaddr",
  "network.subnet": "netmask",
  "dhcp.range": "dhcp.range start",
};

function reasonFor(key: string): string | undefined {
  const words = key.replace(/\[.*$/, "").split(".");
  for (let length = words.length; length > 0; length--) {
    const first = words.slice(0, length).join(".");
    if (Object.hasOwn(REASONS, first)) return REASONS[first];
  }
  return undefined;
}

function listLeaves(value: LocatedValue, key: string): readonly (readonly [string, LocatedScalar])[] {
  if (value.kind === "scalar") return [[key, value]];
  if (value.kind === "list") return value.items.flatMap((item, at) => listLeaves(item, `${key}[${at}]`));
  return [...value.entries].flatMap(([name, entry]) =>
    listLeaves(entry.value, key === "" ? name : `${key}.${name}`),
  );
}
