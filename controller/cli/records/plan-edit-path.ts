import { MusterError } from "#proto/contract/muster-error.ts";
import { compareNodeNames } from "#proto/contract/node-set.ts";

import type { FieldPath } from "../../fields/field-path.ts";
import type { Fields } from "../../fields/fields.ts";
import { type Selectors, SELECTORS_OF } from "./field-options.ts";
import { type EditPlace, type FieldEdit, optionOf } from "./plan-field-edits.ts";

/** Name of a node's device when nobody gives one: the first network port on the board (systemd.net-naming-scheme(7)). */
const DEFAULT_DEVICE = "eno1";

/**
 * Where an edit goes in one record. What no selector says is looked for in the effective fields: of devices the one it boots
 * from, of disks, partitions and file systems the only one. Error: `argument-invalid` when that is open.
 */
export function planEditPath({ from, row, place }: FieldEdit, effective: () => Fields): FieldPath {
  if ("path" in place || row === undefined) return pathOf(place);
  const words = row.path.split(".");
  const selectors = SELECTORS_OF[words[0] ?? ""] ?? [];
  const path: string[] = [];
  for (const word of words) {
    if (word !== "*") {
      path.push(word);
      continue;
    }
    const selector = selectors[path.filter((_, at) => words[at] === "*").length];
    if (selector === undefined) throw new Error(`${row.path} has no selector for its names`);
    path.push(nameOf(selector, place.after, path, effective) ?? refuse(from, selector, path, effective()));
  }
  return path;
}

/** The device that a node with these effective fields boots from; undefined when it has none. */
function bootDeviceOf({ primaryDevice, devices = {} }: Fields): string | undefined {
  if (primaryDevice !== undefined) return primaryDevice;
  const names = Object.keys(devices).sort(compareNodeNames);
  return names.find((name) => devices[name]?.mac !== undefined) ?? names[0];
}

function nameOf(
  selector: keyof Selectors,
  after: Selectors,
  path: readonly string[],
  effective: () => Fields,
): string | undefined {
  const given = after[selector];
  if (selector === "device") return given ?? bootDeviceOf(effective()) ?? DEFAULT_DEVICE;
  if (given !== undefined) return selector === "fileSystem" ? fileSystemOf(given) : given;
  const there = namesAt(effective(), path);
  return there.length === 1 ? there[0] : undefined;
}

/** A name that is no path is the label of a partition, as udev links it. */
function fileSystemOf(name: string): string {
  return name.startsWith("/") ? name : `/dev/disk/by-partlabel/${name}`;
}

function namesAt(fields: Fields, path: readonly string[]): readonly string[] {
  const found = path.reduce<unknown>(
    (at, word) => (typeof at === "object" && at !== null ? (at as Record<string, unknown>)[word] : undefined),
    fields,
  );
  return typeof found === "object" && found !== null ? Object.keys(found) : [];
}

function refuse(from: string, selector: keyof Selectors, path: readonly string[], fields: Fields): never {
  const option = optionOf(selector);
  const there = namesAt(fields, path);
  throw new MusterError({
    code: "argument-invalid",
    what:
      there.length === 0
        ? `${from}: there is none yet, so it must be named`
        : `${from}: there are ${there.length}, ${there.join(", ")}`,
    fix: `put ${option} ${there[0] ?? "NAME"} before it`,
  });
}

function pathOf(place: EditPlace): FieldPath {
  return "path" in place ? place.path : [];
}
