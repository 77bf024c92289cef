import { BOND_MODES, DEVICE_TYPES, IPOIB_MODES, IPV6_METHODS, ROOT_MODES } from "./fields.ts";

/** What a value is; validate-fields.ts says what each may look like. */
export type FieldKind =
  /** `most` characters: 256 unless told. */
  | { readonly kind: "line"; readonly most?: number }
  | { readonly kind: "secret" }
  | { readonly kind: "name"; readonly of: "image" | "template" | "device" }
  /** Absolute, or one of the words. */
  | { readonly kind: "path"; readonly words?: readonly string[] }
  | { readonly kind: "interface" }
  | { readonly kind: "boolean" }
  | { readonly kind: "integer"; readonly min: number; readonly max: number }
  | { readonly kind: "size"; readonly min: number }
  | { readonly kind: "word"; readonly words: readonly string[] }
  /** `octets`: an InfiniBand port's 20 bytes instead of Ethernet's 6. */
  | { readonly kind: "mac"; readonly octets?: 20 }
  | { readonly kind: "ipv4" }
  | { readonly kind: "netmask" }
  | { readonly kind: "ipv6" }
  /** `fat`: the volume id of a FAT file system ("1a2b-3c4d") will do too. */
  | { readonly kind: "guid"; readonly fat?: true }
  /** Lists append from profile to profile to node; "~x" takes x out. */
  | { readonly kind: "list"; readonly of: "profile" | "overlay" | "argument" | "address" | "line" | "route" }
  /** A map of lines, merged key by key. */
  | { readonly kind: "tags" }
  /** Free YAML. */
  | { readonly kind: "tree" };

/**
 * What a change of the field leads to on a node that is up: nothing to do there, its runtime overlay is refreshed at once,
 * or it takes effect when the node boots next.
 */
export type FieldEffect = "none" | "refresh" | "reboot";

/** One field. `*` in a path stands for a name the operator chose: devices.*.mac. */
export interface FieldRow {
  readonly path: string;
  readonly type: FieldKind;
  /** Option of `node|profile add|set`, without dashes. Fields without one are set as `PATH=VALUE`. */
  readonly flag?: string;
  /** For help and documentation; a lower-case phrase. */
  readonly help: string;
  readonly effect: FieldEffect;
  /** The same in Warewulf 4's nodes.conf; absent where Warewulf has none or keeps it in a tag. */
  readonly warewulf?: string;
  /** Profiles cannot have it. */
  readonly nodeOnly?: true;
  /** What a profile says of it is not handed on. */
  readonly notInherited?: true;
  /** muster itself does nothing with it yet: it is kept, merged, shown and exported. */
  readonly keptOnly?: true;
  /**
   * One machine's own: options give several nodes one each or count it up, and comparisons of nodes may leave it out.
   */
  readonly unique?: true;
}

const LINE = { kind: "line" } as const;
const BOOLEAN = { kind: "boolean" } as const;
const MIB = { kind: "integer", min: 0, max: 2 ** 43 } as const;
const VLAN_ID = { kind: "integer", min: 1, max: 4094 } as const;
const MILLISECONDS = { kind: "integer", min: 0, max: 3_600_000 } as const;

/**
 * Every field a node or profile can have, in the order in which they are written. The one place where a field gets its name,
 * type, option, and what a change of it means: validation, merging, options, completion, text and documentation follow it.
 */
export const FIELD_TABLE: readonly FieldRow[] = [
  {
    path: "profiles",
    type: { kind: "list", of: "profile" },
    flag: "profile",
    help: "profile it takes fields from; again for more, in order",
    effect: "none",
    warewulf: "profiles",
    notInherited: true,
  },
  {
    path: "comment",
    type: { kind: "line", most: 1024 },
    flag: "comment",
    help: "a line for people",
    effect: "none",
    warewulf: "comment",
    notInherited: true,
  },
  {
    path: "cluster",
    type: LINE,
    flag: "cluster",
    help: "name of its cluster",
    effect: "none",
    warewulf: "cluster name",
    keptOnly: true,
  },
  {
    path: "assetKey",
    type: LINE,
    flag: "asset-key",
    help: "asset tag its firmware must show",
    effect: "none",
    warewulf: "asset key",
    nodeOnly: true,
    unique: true,
    keptOnly: true,
  },
  {
    path: "discoverable",
    type: BOOLEAN,
    flag: "discoverable",
    help: "an unknown machine may become it",
    effect: "none",
    warewulf: "discoverable",
    nodeOnly: true,
    keptOnly: true,
  },
  {
    path: "image",
    type: { kind: "name", of: "image" },
    flag: "image",
    help: "image to boot",
    effect: "reboot",
    warewulf: "image name",
  },
  {
    path: "rootMode",
    type: { kind: "word", words: ROOT_MODES },
    flag: "root-mode",
    help: "how the root is kept in memory",
    effect: "reboot",
    warewulf: "root",
  },
  {
    path: "rootSizeBytes",
    type: { kind: "size", min: 64 * 1024 * 1024 },
    flag: "root-size",
    help: "limit of what the root may hold: 8G",
    effect: "reboot",
  },
  {
    path: "init",
    type: { kind: "path" },
    flag: "init",
    help: "first program of the booted system",
    effect: "none",
    warewulf: "init",
    keptOnly: true,
  },
  {
    path: "ipxeTemplate",
    type: { kind: "name", of: "template" },
    flag: "ipxe-template",
    help: "iPXE script template",
    effect: "none",
    warewulf: "ipxe template",
    keptOnly: true,
  },
  {
    path: "kernelVersion",
    type: LINE,
    flag: "kernel-version",
    help: "kernel of the image to boot",
    effect: "none",
    warewulf: "kernel.version",
    keptOnly: true,
  },
  {
    path: "kernelArguments",
    type: { kind: "list", of: "argument" },
    flag: "kernel-argument",
    help: "appended to the kernel command line; again for more",
    effect: "reboot",
    warewulf: "kernel.args",
  },
  {
    path: "overlays",
    type: { kind: "list", of: "overlay" },
    flag: "overlay",
    help: "system overlay; again for more, in order",
    effect: "reboot",
    warewulf: "system overlay",
  },
  {
    path: "runtimeOverlays",
    type: { kind: "list", of: "overlay" },
    flag: "runtime-overlay",
    help: "overlay kept true while the node is up; again for more, in order",
    effect: "refresh",
    warewulf: "runtime overlay",
  },
  {
    path: "primaryDevice",
    type: { kind: "name", of: "device" },
    flag: "primary-device",
    help: "device it boots from",
    effect: "reboot",
    warewulf: "primary network",
  },
  {
    path: "devices.*.interface",
    type: { kind: "interface" },
    flag: "interface",
    help: "its name on the node, when that is another",
    effect: "reboot",
    warewulf: "network devices.*.device",
  },
  {
    path: "devices.*.type",
    type: { kind: "word", words: DEVICE_TYPES },
    flag: "type",
    help: "what it is",
    effect: "reboot",
    warewulf: "network devices.*.type",
  },
  {
    path: "devices.*.onBoot",
    type: BOOLEAN,
    flag: "on-boot",
    help: "whether it is brought up at boot",
    effect: "none",
    warewulf: "network devices.*.onboot",
    keptOnly: true,
  },
  {
    path: "devices.*.mac",
    type: { kind: "mac" },
    flag: "mac",
    help: "its MAC; several nodes: one each, with commas between",
    effect: "reboot",
    warewulf: "network devices.*.hwaddr",
    unique: true,
  },
  {
    path: "devices.*.infinibandAddress",
    type: { kind: "mac", octets: 20 },
    flag: "infiniband-address",
    help: "hardware address of an InfiniBand port, 20 bytes",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.address",
    type: { kind: "ipv4" },
    flag: "address",
    help: "its address; several nodes: that of the first, the others get the next ones",
    effect: "reboot",
    warewulf: "network devices.*.ipaddr",
    unique: true,
  },
  {
    path: "devices.*.netmask",
    type: { kind: "netmask" },
    flag: "netmask",
    help: "its netmask",
    effect: "reboot",
    warewulf: "network devices.*.netmask",
  },
  {
    path: "devices.*.gateway",
    type: { kind: "ipv4" },
    flag: "gateway",
    help: "its default router",
    effect: "reboot",
    warewulf: "network devices.*.gateway",
  },
  {
    path: "devices.*.address6",
    type: { kind: "ipv6" },
    flag: "address6",
    help: "its IPv6 address; several nodes: counted up",
    effect: "none",
    warewulf: "network devices.*.ipaddr6",
    unique: true,
    keptOnly: true,
  },
  {
    path: "devices.*.prefixLength6",
    type: { kind: "integer", min: 0, max: 128 },
    flag: "prefix-length6",
    help: "length of its IPv6 prefix",
    effect: "none",
    warewulf: "network devices.*.prefixlen6",
    keptOnly: true,
  },
  {
    path: "devices.*.gateway6",
    type: { kind: "ipv6" },
    flag: "gateway6",
    help: "its IPv6 default router",
    effect: "none",
    warewulf: "network devices.*.gateway6",
    keptOnly: true,
  },
  {
    path: "devices.*.method6",
    type: { kind: "word", words: IPV6_METHODS },
    flag: "method6",
    help: "how it gets IPv6 addresses",
    effect: "none",
    keptOnly: true,
  },
  // 68: the least IPv4 allows (RFC 791). 65520: IP over InfiniBand in connected mode, the most there is.
  {
    path: "devices.*.mtu",
    type: { kind: "integer", min: 68, max: 65520 },
    flag: "mtu",
    help: "its MTU",
    effect: "reboot",
    warewulf: "network devices.*.mtu",
  },
  {
    path: "devices.*.dns",
    type: { kind: "list", of: "address" },
    flag: "dns",
    help: "name server; again for more, in order",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.dnsSearch",
    type: { kind: "list", of: "line" },
    flag: "dns-search",
    help: "domain to search; again for more",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.routes",
    type: { kind: "list", of: "route" },
    flag: "route",
    help: "route as in ip-route(8): '10.2.0.0/16 via 10.1.0.1'; again for more",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.master",
    type: { kind: "name", of: "device" },
    flag: "master",
    help: "bond or bridge it is a port of",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.bondMode",
    type: { kind: "word", words: BOND_MODES },
    flag: "bond-mode",
    help: "mode of a bond",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.miimon",
    type: MILLISECONDS,
    flag: "miimon",
    help: "how often a bond looks at its links, in ms",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.downDelay",
    type: MILLISECONDS,
    flag: "down-delay",
    help: "wait of a bond before a link is down, in ms",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.upDelay",
    type: MILLISECONDS,
    flag: "up-delay",
    help: "wait of a bond before a link is up, in ms",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.xmitHashPolicy",
    type: LINE,
    flag: "xmit-hash-policy",
    help: "how a bond chooses a link",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.vlanId",
    type: VLAN_ID,
    flag: "vlan-id",
    help: "number of a VLAN",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.parent",
    type: { kind: "name", of: "device" },
    flag: "parent",
    help: "device that carries a VLAN",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.stp",
    type: BOOLEAN,
    flag: "stp",
    help: "spanning tree of a bridge",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.ipoibMode",
    type: { kind: "word", words: IPOIB_MODES },
    flag: "ipoib-mode",
    help: "transport mode of IP over InfiniBand",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.pkey",
    type: LINE,
    flag: "pkey",
    help: "InfiniBand partition key: 0x8001",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.clonedMac",
    type: { kind: "mac" },
    flag: "cloned-mac",
    help: "MAC it takes on",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "devices.*.tags",
    type: { kind: "tags" },
    flag: "device-tag",
    help: "tag of the device, KEY=VALUE; again for more",
    effect: "none",
    warewulf: "network devices.*.tags",
    keptOnly: true,
  },
  {
    path: "bmc.address",
    type: { kind: "ipv4" },
    flag: "bmc-address",
    help: "its BMC's address; several nodes: counted up",
    effect: "none",
    warewulf: "ipmi.ipaddr",
    unique: true,
    keptOnly: true,
  },
  {
    path: "bmc.netmask",
    type: { kind: "netmask" },
    flag: "bmc-netmask",
    help: "its BMC's netmask",
    effect: "none",
    warewulf: "ipmi.netmask",
    keptOnly: true,
  },
  {
    path: "bmc.gateway",
    type: { kind: "ipv4" },
    flag: "bmc-gateway",
    help: "its BMC's router",
    effect: "none",
    warewulf: "ipmi.gateway",
    keptOnly: true,
  },
  {
    path: "bmc.port",
    type: { kind: "integer", min: 1, max: 65535 },
    flag: "bmc-port",
    help: "its BMC's port",
    effect: "none",
    warewulf: "ipmi.port",
    keptOnly: true,
  },
  {
    path: "bmc.user",
    type: LINE,
    flag: "bmc-user",
    help: "user of its BMC",
    effect: "none",
    warewulf: "ipmi.username",
    keptOnly: true,
  },
  {
    path: "bmc.password",
    type: { kind: "secret" },
    flag: "bmc-password-file",
    help: "file with the password of its BMC (- for standard input)",
    effect: "none",
    warewulf: "ipmi.password",
    keptOnly: true,
  },
  {
    path: "bmc.interface",
    type: LINE,
    flag: "bmc-interface",
    help: "as ipmitool -I: lan, lanplus",
    effect: "none",
    warewulf: "ipmi.interface",
    keptOnly: true,
  },
  {
    path: "bmc.escapeChar",
    type: LINE,
    flag: "bmc-escape-char",
    help: "escape character of its console",
    effect: "none",
    warewulf: "ipmi.escapechar",
    keptOnly: true,
  },
  {
    path: "bmc.write",
    type: BOOLEAN,
    flag: "bmc-write",
    help: "whether a booting node writes this to its BMC",
    effect: "none",
    warewulf: "ipmi.write",
    keptOnly: true,
  },
  {
    path: "bmc.template",
    type: { kind: "name", of: "template" },
    flag: "bmc-template",
    help: "template of its BMC's commands",
    effect: "none",
    warewulf: "ipmi.template",
    keptOnly: true,
  },
  {
    path: "bmc.vlanId",
    type: VLAN_ID,
    flag: "bmc-vlan-id",
    help: "VLAN of its BMC",
    effect: "none",
    keptOnly: true,
  },
  {
    path: "bmc.tags",
    type: { kind: "tags" },
    flag: "bmc-tag",
    help: "tag of the BMC, KEY=VALUE; again for more",
    effect: "none",
    warewulf: "ipmi.tags",
    keptOnly: true,
  },
  {
    path: "disks.*.wipeTable",
    type: BOOLEAN,
    flag: "disk-wipe",
    help: "whether the partition table is made anew",
    effect: "none",
    warewulf: "disks.*.wipe_table",
    keptOnly: true,
  },
  {
    path: "disks.*.partitions.*.number",
    type: { kind: "integer", min: 0, max: 128 },
    flag: "partition-number",
    help: "its place in the table",
    effect: "none",
    warewulf: "disks.*.partitions.*.number",
    keptOnly: true,
  },
  {
    path: "disks.*.partitions.*.sizeMib",
    type: MIB,
    flag: "partition-size",
    help: "its size in MiB; absent: the rest of the disk",
    effect: "none",
    warewulf: "disks.*.partitions.*.size_mib",
    keptOnly: true,
  },
  {
    path: "disks.*.partitions.*.startMib",
    type: MIB,
    flag: "partition-start",
    help: "where it starts, in MiB",
    effect: "none",
    warewulf: "disks.*.partitions.*.start_mib",
    keptOnly: true,
  },
  {
    path: "disks.*.partitions.*.typeGuid",
    type: { kind: "guid" },
    flag: "partition-type",
    help: "GUID of its type",
    effect: "none",
    warewulf: "disks.*.partitions.*.type_guid",
    keptOnly: true,
  },
  {
    path: "disks.*.partitions.*.guid",
    type: { kind: "guid" },
    flag: "partition-guid",
    help: "its GUID",
    effect: "none",
    warewulf: "disks.*.partitions.*.guid",
    keptOnly: true,
  },
  {
    path: "disks.*.partitions.*.wipeEntry",
    type: BOOLEAN,
    flag: "partition-wipe",
    help: "whether an entry that differs is replaced",
    effect: "none",
    warewulf: "disks.*.partitions.*.wipe_partition_entry",
    keptOnly: true,
  },
  {
    path: "disks.*.partitions.*.shouldExist",
    type: BOOLEAN,
    flag: "partition-should-exist",
    help: "whether it is made, or removed",
    effect: "none",
    warewulf: "disks.*.partitions.*.should_exist",
    keptOnly: true,
  },
  {
    path: "disks.*.partitions.*.resize",
    type: BOOLEAN,
    flag: "partition-resize",
    help: "whether it may grow or shrink",
    effect: "none",
    warewulf: "disks.*.partitions.*.resize",
    keptOnly: true,
  },
  {
    path: "fileSystems.*.format",
    type: LINE,
    flag: "fs-format",
    help: "ext4, xfs, btrfs, vfat, swap",
    effect: "none",
    warewulf: "filesystems.*.format",
    keptOnly: true,
  },
  {
    path: "fileSystems.*.path",
    type: { kind: "path", words: ["swap", "none"] },
    flag: "fs-path",
    help: "where it is mounted",
    effect: "none",
    warewulf: "filesystems.*.path",
    keptOnly: true,
  },
  {
    path: "fileSystems.*.wipe",
    type: BOOLEAN,
    flag: "fs-wipe",
    help: "whether it is made anew at each boot",
    effect: "none",
    warewulf: "filesystems.*.wipe_filesystem",
    keptOnly: true,
  },
  {
    path: "fileSystems.*.label",
    type: LINE,
    flag: "fs-label",
    help: "its label",
    effect: "none",
    warewulf: "filesystems.*.label",
    keptOnly: true,
  },
  {
    path: "fileSystems.*.uuid",
    type: { kind: "guid", fat: true },
    flag: "fs-uuid",
    help: "its UUID",
    effect: "none",
    warewulf: "filesystems.*.uuid",
    keptOnly: true,
  },
  {
    path: "fileSystems.*.options",
    type: { kind: "list", of: "line" },
    flag: "fs-option",
    help: "word for mkfs; again for more",
    effect: "none",
    warewulf: "filesystems.*.options",
    keptOnly: true,
  },
  {
    path: "fileSystems.*.mountOptions",
    type: LINE,
    flag: "fs-mount-options",
    help: "options of mount(8)",
    effect: "none",
    warewulf: "filesystems.*.mount_options",
    keptOnly: true,
  },
  {
    path: "tags",
    type: { kind: "tags" },
    flag: "tag",
    help: "tag, KEY=VALUE; again for more",
    effect: "none",
    warewulf: "tags",
  },
  {
    path: "resources",
    type: { kind: "tree" },
    help: "free YAML for templates",
    effect: "none",
    warewulf: "resources",
    keptOnly: true,
  },
];
