import { FIELD_TABLE, type FieldRow } from "../../fields/field-table.ts";

/** One key of nodes.conf, with those below it. "*" stands for names that the operator chose. */
export interface WarewulfKey {
  readonly row?: FieldRow;
  readonly below: ReadonlyMap<string, WarewulfKey>;
}

interface GrownKey {
  row?: FieldRow;
  readonly below: Map<string, GrownKey>;
}

/** The keys of a node or profile in nodes.conf that have a field, from the Warewulf column of FIELD_TABLE. */
export const WAREWULF_KEYS: WarewulfKey = growKeys();

function growKeys(): WarewulfKey {
  const root: GrownKey = { below: new Map() };
  for (const row of FIELD_TABLE) {
    if (row.warewulf === undefined) continue;
    let at = root;
    for (const word of row.warewulf.split(".")) {
      let next = at.below.get(word);
      if (next === undefined) {
        next = { below: new Map() };
        at.below.set(word, next);
      }
      at = next;
    }
    at.row = row;
  }
  return root;
}

/** Keys of 4.2 to 4.5 that 4.6 writes in a map of their own: "ipmi netmask" became "ipmi: netmask". */
export const FLAT_KEYS: ReadonlyMap<string, FlatKey> = new Map(
  [
    ...[
      "escapechar",
      "gateway",
      "interface",
      "ipaddr",
      "netmask",
      "password",
      "port",
      "username",
      "write",
    ].map((inner) => ({ outer: "ipmi", inner })),
    ...["args", "override", "version"].map((inner) => ({ outer: "kernel", inner })),
  ].map((key) => [`${key.outer} ${key.inner}`, key]),
);
interface FlatKey {
  readonly outer: string;
  readonly inner: string;
}

const NETWORK =
  "muster writes network devices as units of systemd-networkd; for another network manager put its files into an overlay of your own";
const NAMES = "muster names interfaces by their MAC, with systemd.link units";
const TEMPLATES =
  "it is made of templates of Warewulf, which muster does not render; put the files it would make into an overlay of your own";
const OWN_FILES = "it held files of the site; copy those that are in use into an overlay of your own";

/** The overlays that come with Warewulf 4.2 to 4.7, and why they are not carried over. */
export const DISTRIBUTION_OVERLAYS: ReadonlyMap<string, string> = new Map([
  ...[
    "NetworkManager",
    "debian.interfaces",
    "ifcfg",
    "ifupdown",
    "netplan",
    "systemd.networkd",
    "wicked",
  ].map((name) => [name, NETWORK] as const),
  ...["udev.netname", "systemd.netname"].map((name) => [name, NAMES] as const),
  ["resolv", "muster writes /etc/resolv.conf from network.dns"],
  ["hostname", "muster writes /etc/hostname"],
  ["hosts", "muster writes /etc/hosts"],
  ["ssh.host_keys", "muster gives each node SSH host keys that stay the same"],
  ["wwinit", "muster's agent starts the node"],
  ["wwclient", "muster's agent keeps runtime overlays true"],
  ...["generic", "system", "runtime"].map((name) => [name, OWN_FILES] as const),
  ["host", "it is for the Warewulf server"],
  ["debug", "it shows Warewulf's own data"],
  ...[
    "chrony",
    "fstab",
    "ignition",
    "issue",
    "localtime",
    "mig",
    "mkfs",
    "mkswap",
    "sfdisk",
    "ssh.authorized_keys",
    "syncuser",
    "systemd.mount",
    "systemd.swap",
  ].map((name) => [name, TEMPLATES] as const),
]);

/** Files in Warewulf's directory of BMC templates that come with it. */
export const DISTRIBUTION_BMC_TEMPLATES: ReadonlySet<string> = new Set(["ipmitool.tmpl", "nobmc.tmpl"]);

/** What Warewulf takes for "nothing" where a word is expected (4.2 to 4.7, any case). */
const UNSET_WORDS: ReadonlySet<string> = new Set(["unset", "delete", "undef", "--", "nil", "0.0.0.0"]);

export function isUnset(text: string): boolean {
  return text === "" || UNSET_WORDS.has(text.toLowerCase());
}

/** What Warewulf takes for true and false: Go's strconv.ParseBool, and yes and no. */
export function readWarewulfBoolean(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (["true", "t", "1", "yes"].includes(word)) return true;
  if (["false", "f", "0", "no"].includes(word)) return false;
  return undefined;
}

/** Tags of network devices that are fields here; the templates of Warewulf 4.6 read them. */
export const DEVICE_TAGS: ReadonlyMap<string, string> = new Map([
  ["master", "master"],
  ["mode", "bondMode"],
  ["miimon", "miimon"],
  ["downdelay", "downDelay"],
  ["updelay", "upDelay"],
  ["xmit_hash_policy", "xmitHashPolicy"],
  ["cloned-mac-address", "clonedMac"],
  ["vlan_id", "vlanId"],
  ["parent_device", "parent"],
  ["ipv6_method", "method6"],
]);
