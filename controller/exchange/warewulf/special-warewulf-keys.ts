import { readDeviceAddress, readDeviceAddress6 } from "./read-device-address.ts";
import { readDeviceTags } from "./read-device-tags.ts";
import { readKernelArguments, readKernelVersion } from "./read-kernel.ts";
import { readField, tagsOf } from "./read-warewulf-field.ts";
import type { LocatedEntry } from "./parse-located-yaml.ts";
import type { RecordReading } from "./record-reading.ts";
import { WAREWULF_KEYS } from "./warewulf-keys.ts";

type SpecialKey = (
  reading: RecordReading,
  key: string,
  entry: LocatedEntry,
  names: readonly string[],
) => void;

const OBSOLETE: SpecialKey = (reading, key, entry) => {
  reading.leave(reading.originOf(key, entry), "Warewulf itself no longer uses it");
};

const ONLY_NODES =
  (row: string): SpecialKey =>
  (reading, key, entry, names) => {
    const next = WAREWULF_KEYS.below.get(row)?.row;
    if (reading.draft.kind === "profile") {
      reading.leave(reading.originOf(key, entry), "only nodes have it, profiles do not", "set it on nodes");
    } else if (next !== undefined) readField(reading, next, key, entry, names);
  };

const DEVICE_ADDRESS: SpecialKey = (reading, key, entry, [device = ""]) => {
  readDeviceAddress(reading, key, entry, device);
};

const DEVICE_ADDRESS6: SpecialKey = (reading, key, entry, [device = ""]) => {
  readDeviceAddress6(reading, key, entry, device);
};

const SPECIAL: Readonly<Record<string, SpecialKey>> = {
  disabled: OBSOLETE,
  "asset key": ONLY_NODES("asset key"),
  discoverable: ONLY_NODES("discoverable"),
  root: (reading, key, entry) => {
    const text = reading.textOf(key, entry);
    const origin = reading.originOf(key, entry);
    if (text === undefined) return;
    const word = text.toLowerCase();
    if (word === "tmpfs" || word === "ramfs") {
      reading.put(["rootMode"], "tmpfs", origin);
      if (word === "ramfs") reading.change(origin, "became rootMode tmpfs: the root is unpacked into memory");
    } else if (word === "initramfs" || word === "rootfs") {
      reading.put(["rootMode"], "squashfs", origin);
      reading.change(
        origin,
        "became rootMode squashfs: the root is read from the packed image, writes go to memory",
      );
    } else {
      reading.leave(
        origin,
        "muster keeps the root of a node in memory",
        "nodes that are to boot from their disk stay with Warewulf for now",
      );
    }
  },
  "ipxe template": (reading, key, entry) => {
    const text = reading.textOf(key, entry);
    if (text === undefined) return;
    const origin = reading.originOf(key, entry);
    if (text === "default" || text === "dracut") reading.leave(origin, "muster writes its own iPXE script");
    else reading.put(["ipxeTemplate"], text, origin);
  },
  "kernel.args": readKernelArguments,
  "kernel.version": readKernelVersion,
  "kernel.override": (reading, key, entry) => {
    const origin = reading.originOf(key, entry);
    if (reading.draft.origins.get("kernelVersion") !== undefined) {
      reading.leave(origin, "kernel: version is there as well, and counts");
    } else readKernelVersion(reading, key, entry);
  },
  "network devices.*.tags": (reading, key, entry, [device = ""]) => {
    readDeviceTags(reading, device, key, tagsOf(reading, key, entry));
  },
  "network devices.*.ipaddr": DEVICE_ADDRESS,
  "network devices.*.ipcidr": DEVICE_ADDRESS,
  "network devices.*.ipaddr6": DEVICE_ADDRESS6,
  "network devices.*.ip6addr": DEVICE_ADDRESS6,
  "network devices.*.prefix": OBSOLETE,
  "ipmi.tags": (reading, key, entry) => {
    for (const [name, tag] of tagsOf(reading, key, entry)) {
      const text = reading.textOf(`${key}.${name}`, tag);
      const origin = reading.originOf(`${key}.${name}`, tag);
      if (text === undefined && tag.value.kind === "scalar") reading.put(["bmc", "tags", name], "", origin);
      else if (text !== undefined && name === "vlan" && /^\d+$/.test(text)) {
        reading.put(["bmc", "vlanId"], text, origin);
      } else if (text !== undefined) reading.put(["bmc", "tags", name], text, origin);
    }
  },
  "filesystems.*.mount_options": (reading, key, entry, [device = ""]) => {
    const options = reading.textsOf(key, entry, /$^/);
    if (options.length > 0) {
      reading.put(["fileSystems", device, "mountOptions"], options.join(","), reading.originOf(key, entry));
    }
  },
};

/** Keys that are not carried over word by word, by their way in nodes.conf. */
export const SPECIAL_KEYS: ReadonlyMap<string, SpecialKey> = new Map(Object.entries(SPECIAL));
