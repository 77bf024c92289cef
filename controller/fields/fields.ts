import type { MacAddress } from "#proto/contract/mac-address.ts";

/** Root modes a node can boot in; see BootPlan.root_mode. */
export const ROOT_MODES = ["squashfs", "tmpfs"] as const;
export type RootModeName = (typeof ROOT_MODES)[number];

/** What a network device of a node can be. */
export const DEVICE_TYPES = ["ethernet", "infiniband", "bond", "vlan", "bridge"] as const;
export type DeviceType = (typeof DEVICE_TYPES)[number];

/** bonding.txt of the Linux kernel, "mode". */
export const BOND_MODES = [
  "balance-rr",
  "active-backup",
  "balance-xor",
  "broadcast",
  "802.3ad",
  "balance-tlb",
  "balance-alb",
] as const;

/** How an interface gets IPv6 addresses, in NetworkManager's words (ipv6.method). */
export const IPV6_METHODS = ["auto", "dhcp", "manual", "link-local", "ignore", "disabled"] as const;

/** IP over InfiniBand: ipoib.txt of the Linux kernel. */
export const IPOIB_MODES = ["datagram", "connected"] as const;

/** What YAML and JSON can say of a value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** A network device as an operator writes it, below its name in the inventory. Units: bytes, milliseconds. */
export interface DeviceFields {
  /** Interface name on the node ("eno1"); absent: the device's name in the inventory. */
  readonly interface?: string;
  /** Absent: ethernet. */
  readonly type?: DeviceType;
  /** Absent: true. */
  readonly onBoot?: boolean;
  readonly mac?: MacAddress;
  /** Hardware address of an InfiniBand port (RFC 4391 section 9.1.1): 20 bytes, as `ip link` shows it. */
  readonly infinibandAddress?: string;
  readonly address?: string;
  readonly netmask?: string;
  readonly gateway?: string;
  readonly address6?: string;
  readonly prefixLength6?: number;
  readonly gateway6?: string;
  readonly method6?: (typeof IPV6_METHODS)[number];
  readonly mtu?: number;
  readonly dns?: readonly string[];
  readonly dnsSearch?: readonly string[];
  /** As ip-route(8) writes them: "10.2.0.0/16 via 10.1.0.1", "default via fe80::1 metric 100". */
  readonly routes?: readonly string[];
  /** Device (its name in the inventory) of the bond or bridge that this one is a port of. */
  readonly master?: string;
  readonly bondMode?: (typeof BOND_MODES)[number];
  readonly miimon?: number;
  readonly downDelay?: number;
  readonly upDelay?: number;
  readonly xmitHashPolicy?: string;
  readonly vlanId?: number;
  /** Device (its name in the inventory) that carries the VLAN. */
  readonly parent?: string;
  readonly stp?: boolean;
  readonly ipoibMode?: (typeof IPOIB_MODES)[number];
  /** InfiniBand partition key, "0x8001". */
  readonly pkey?: string;
  readonly clonedMac?: MacAddress;
  readonly tags?: Readonly<Record<string, string>>;
}

/** The management controller of the machine. */
export interface BmcFields {
  readonly address?: string;
  readonly netmask?: string;
  readonly gateway?: string;
  readonly port?: number;
  readonly user?: string;
  /** A secret: shown only to who asks for secrets; elsewhere {@link KEPT_SECRET} stands for it. */
  readonly password?: string;
  /** ipmitool(1) -I: "lan", "lanplus". */
  readonly interface?: string;
  readonly escapeChar?: string;
  /** Whether a booting node writes these settings to its BMC. */
  readonly write?: boolean;
  readonly template?: string;
  readonly vlanId?: number;
  readonly tags?: Readonly<Record<string, string>>;
}

interface PartitionFields {
  readonly number?: number;
  readonly sizeMib?: number;
  readonly startMib?: number;
  readonly typeGuid?: string;
  readonly guid?: string;
  readonly wipeEntry?: boolean;
  readonly shouldExist?: boolean;
  readonly resize?: boolean;
}

export interface DiskFields {
  readonly wipeTable?: boolean;
  /** By label. */
  readonly partitions?: Readonly<Record<string, PartitionFields>>;
}

export interface FileSystemFields {
  /** "ext4", "xfs", "swap". */
  readonly format?: string;
  readonly path?: string;
  readonly wipe?: boolean;
  readonly label?: string;
  readonly uuid?: string;
  /** Of mkfs. */
  readonly options?: readonly string[];
  readonly mountOptions?: string;
}

/**
 * What an operator writes of one node or profile, and nothing else: everything is optional, nothing is filled in. In
 * canonical form (canonical-fields.ts) an empty list or map is absent, keys stand in the order of FIELD_TABLE, and keys of
 * maps in natural order, so that equal fields have equal JSON.
 */
export interface Fields {
  /** Applied in order, the node's own fields last; "~x" takes x out. */
  readonly profiles?: readonly string[];
  /** Never inherited. */
  readonly comment?: string;
  readonly cluster?: string;
  /** Nodes only. */
  readonly assetKey?: string;
  /** Nodes only. */
  readonly discoverable?: boolean;
  readonly image?: string;
  readonly rootMode?: RootModeName;
  readonly rootSizeBytes?: number;
  readonly init?: string;
  readonly ipxeTemplate?: string;
  readonly kernelVersion?: string;
  readonly kernelArguments?: readonly string[];
  readonly overlays?: readonly string[];
  readonly runtimeOverlays?: readonly string[];
  /** Device (its name in the inventory) the node boots from; absent: the first card in natural order that has a MAC. */
  readonly primaryDevice?: string;
  readonly devices?: Readonly<Record<string, DeviceFields>>;
  readonly bmc?: BmcFields;
  /** By device, "/dev/nvme0n1". */
  readonly disks?: Readonly<Record<string, DiskFields>>;
  /** By device, "/dev/disk/by-partlabel/scratch". */
  readonly fileSystems?: Readonly<Record<string, FileSystemFields>>;
  readonly tags?: Readonly<Record<string, string>>;
  /** Free YAML for templates: nested maps merge, lists append, scalars replace. */
  readonly resources?: Readonly<Record<string, Json>>;
}

/** The profile of nodes that are added without any, when there is one of that name. As in Warewulf. */
export const DEFAULT_PROFILE = "default";

/** Stands for a secret that is not shown; written back, it keeps the secret that is there. */
export const KEPT_SECRET = "(kept)";

/** A node or profile with what the operator wrote of it. */
export interface FieldsRecord {
  readonly kind: "node" | "profile";
  readonly name: string;
  readonly fields: Fields;
}
