import { expandProfiles } from "../../fields/merge-fields.ts";
import type { DeviceFields } from "../../fields/fields.ts";
import type { RecordDraft } from "./record-reading.ts";

/** Devices by name, of one record. */
type Devices = Readonly<Record<string, DeviceFields | undefined>>;

/** What has devices, and takes more from profiles. */
interface WithDevices {
  readonly kind: "node" | "profile";
  readonly name: string;
  readonly fields: object;
}

/**
 * Warewulf's `master` and `parent_device` name the interface of another device; muster's name the device. Finds the device: of
 * the record itself, then of its profiles, the last first, then of any other record. What no device has is left out.
 */
export function resolveDeviceNames(drafts: readonly RecordDraft[]): void {
  const find = openDeviceFinder(drafts);
  for (const draft of drafts) {
    for (const [device, fields] of Object.entries(devicesOf(draft))) {
      for (const word of ["master", "parent"] as const) {
        const wanted = fields?.[word];
        if (wanted !== undefined) setReference(draft, device, word, wanted, find(draft, wanted));
      }
    }
  }
}

/** Finds the name of the device that a record calls by its interface. */
export function openDeviceFinder(
  records: readonly WithDevices[],
): (record: WithDevices, wanted: string) => string | undefined {
  const profiles = new Map(
    records.filter(({ kind }) => kind === "profile").map((record) => [record.name, record]),
  );
  const lists = new Map([...profiles].map(([name, record]) => [name, { profiles: profilesOf(record) }]));
  let everywhere: ReadonlyMap<string, string> | undefined;
  return (record, wanted) => {
    const chain = expandProfiles(profilesOf(record), lists)
      .toReversed()
      .flatMap((name) => profiles.get(name) ?? []);
    const near = findDevice([record, ...chain].map(devicesOf), wanted);
    return near ?? (everywhere ??= indexDevices(records)).get(wanted);
  };
}

function findDevice(places: readonly Devices[], wanted: string): string | undefined {
  for (const devices of places) {
    const byInterface = Object.keys(devices).find((name) => devices[name]?.interface === wanted);
    if (byInterface !== undefined) return byInterface;
    if (Object.hasOwn(devices, wanted)) return wanted;
  }
  return undefined;
}

/** Built once: looking through all records for each name would take long with 10,000 nodes. */
function indexDevices(records: readonly WithDevices[]): ReadonlyMap<string, string> {
  const byInterface = new Map<string, string>();
  const byName = new Map<string, string>();
  for (const record of records) {
    for (const [name, fields] of Object.entries(devicesOf(record))) {
      byName.set(name, name);
      if (fields?.interface !== undefined) byInterface.set(fields.interface, name);
    }
  }
  return new Map([...byName, ...byInterface]);
}

function setReference(
  draft: RecordDraft,
  device: string,
  word: "master" | "parent",
  wanted: string,
  found: string | undefined,
): void {
  const fields = devicesOf(draft)[device] as Record<string, unknown>;
  if (found !== undefined) {
    fields[word] = found;
    return;
  }
  Reflect.deleteProperty(fields, word);
  const tag = word === "master" ? "master" : "parent_device";
  const key = `network devices.${device}.tags.${tag}`;
  const origin = [...draft.origins.values()].find((known) => known.key === key) ?? draft.at;
  draft.items.push({
    ...origin,
    key,
    value: wanted,
    outcome: "left",
    why: "no device has this interface",
    fix: `add a device whose \`device\` is ${wanted}`,
  });
}

function devicesOf({ fields }: WithDevices): Devices {
  return (fields as { readonly devices?: Devices }).devices ?? {};
}

function profilesOf({ fields }: WithDevices): readonly string[] {
  return (fields as { readonly profiles?: readonly string[] }).profiles ?? [];
}
