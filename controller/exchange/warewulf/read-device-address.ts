import { type FieldPath, renderFieldPath } from "../../fields/field-path.ts";
import type { Origin } from "./import-item.ts";
import type { LocatedEntry } from "./parse-located-yaml.ts";
import type { RecordReading } from "./record-reading.ts";
import { isUnset } from "./warewulf-keys.ts";

/** 4.2 to 4.5 took "10.0.0.1/16" too; a netmask that is there counts. */
export function readDeviceAddress(
  reading: RecordReading,
  key: string,
  entry: LocatedEntry,
  device: string,
): void {
  const text = reading.textOf(key, entry);
  if (text === undefined || isUnset(text)) return;
  const origin = reading.originOf(key, entry);
  const [address = "", length] = text.split("/");
  const known = reading.draft.origins.get(renderFieldPath(["devices", device, "address"]));
  const isSecond = known !== undefined && known.key !== key;
  if (isSecond && (length === undefined || known.value?.split("/")[0] !== address)) {
    reading.leave(origin, `${known.key} is there as well, and counts`);
  } else if (!isSecond) reading.put(["devices", device, "address"], address, origin);
  putLength(reading, ["devices", device, "netmask"], length, origin);
}

/** The same of IPv6, whose two keys Warewulf has had. */
export function readDeviceAddress6(
  reading: RecordReading,
  key: string,
  entry: LocatedEntry,
  device: string,
): void {
  const origin = reading.originOf(key, entry);
  const [address, length] = reading.textOf(key, entry)?.split("/") ?? [];
  if (address === undefined) return;
  const known = reading.draft.origins.get(renderFieldPath(["devices", device, "address6"]));
  if (known !== undefined) {
    reading.leave(origin, `${known.key} is there as well, and counts`);
    return;
  }
  reading.put(["devices", device, "address6"], address, origin);
  putLength(reading, ["devices", device, "prefixLength6"], length, origin);
}

/** The length behind an address; a key of its own counts more. */
function putLength(
  reading: RecordReading,
  path: FieldPath,
  length: string | undefined,
  origin: Origin,
): void {
  if (length === undefined) return;
  const known = reading.draft.origins.get(renderFieldPath(path));
  if (known === undefined) reading.put(path, length, origin);
  else reading.leave({ ...origin, value: `/${length}` }, `${known.key} is there as well, and counts`);
}
