import fc from "fast-check";
import { describe, expect, it, test } from "vitest";

import type { ErrorCode } from "#proto/contract/muster-error.ts";
import { MusterError } from "#proto/contract/muster-error.ts";

import { arbitraryFields } from "../../test/fixtures/arbitrary-fields.ts";
import { diffFields } from "./diff-fields.ts";
import { fieldAt, setField, setFieldValue, unsetField } from "./edit-fields.ts";
import { renderFieldPath } from "./field-path.ts";
import type { Fields, Json } from "./fields.ts";
import { listLeaves } from "./list-leaves.ts";

const SET: readonly (readonly [path: string, text: string, fields: Fields])[] = [
  ["image", "rocky", { image: "rocky" }],
  ["rootSizeBytes", "8G", { rootSizeBytes: 8 * 1024 ** 3 }],
  ["kernelVersion", "6.10", { kernelVersion: "6.10" }],
  ["devices.eno1.mtu", "9000", { devices: { eno1: { mtu: 9000 } } }],
  ["devices.eno1.onBoot", "no", { devices: { eno1: { onBoot: false } } }],
  ['devices."bond0.100".vlanId', "100", { devices: { "bond0.100": { vlanId: 100 } } }],
  [
    "disks./dev/sda.partitions.swap.sizeMib",
    "1024",
    { disks: { "/dev/sda": { partitions: { swap: { sizeMib: 1024 } } } } },
  ],
  ["overlays", "chrony", { overlays: ["chrony"] }],
  ["tags.rack", "0042", { tags: { rack: "0042" } }],
  ["resources.scratch", "/tmp", { resources: { scratch: "/tmp" } }],
  ["resources.a.b", "12", { resources: { a: { b: 12 } } }],
  ["resources.version", "6.10", { resources: { version: "6.10" } }],
  ["resources.mounts", '[{"spec":"x"}]', { resources: { mounts: [{ spec: "x" }] } }],
  ["resources.flag", "true", { resources: { flag: true } }],
];

const REFUSED: readonly (readonly [path: string, text: string, what: string, fix: string | undefined])[] = [
  ["imgae", "x", '"imgae" is no field', "did you mean image?"],
  ["mtu", "9000", '"mtu" is no field', "did you mean devices.NAME.mtu?"],
  ["devices.eno1.mtuu", "9000", '"devices.eno1.mtuu" is no field', "did you mean devices.eno1.mtu?"],
  ["nothing.like.it.at.all", "x", '"nothing.like.it.at.all" is no field', "all fields are in docs/fields.md"],
  [
    "devices.eno1",
    "x",
    '"devices.eno1" is a group of fields',
    "name one of them, for example devices.eno1.interface",
  ],
  ["disks", "x", '"disks" is a group of fields', "name one of them, for example disks.NAME.wipeTable"],
  ["image.name", "x", '"image.name" goes on below image, which is one value', "name image"],
  ["tags", "x", '"tags" is a map of tags', "name the tag: tags.KEY=VALUE"],
  ["tags.a.b", "x", '"tags.a.b" names no tag', 'quote its name: tags."a.b"'],
  ["overlays[0]", "x", '"overlays[0]" names an element of a list', "set the list as a whole"],
  ["devices.eno1.mtu", "lots", 'devices.eno1.mtu: "lots" is not a whole number from 68 to 65520', undefined],
  ["rootMode", "tmpf", 'rootMode: "tmpf" is not one of squashfs, tmpfs', "did you mean tmpfs?"],
  [
    "devices.a b.mtu",
    "1500",
    '"devices.a b.mtu" is not the path of a field: it cannot be read from " b.mtu" on',
    'write names with dots between, and quote a name that holds a dot: devices."bond0.100".mtu',
  ],
  ['devices."a b".mtu', "1500", 'devices."a b": "a b" is not the name of a device', undefined],
];

describe("setting a field", () => {
  test.each(SET)("%s to %s", (path, text, fields) => {
    expect(setField({}, path, text)).toEqual(fields);
  });

  test.each(REFUSED)("refuses %s with %j", (path, text, what, fix) => {
    expect(refusal(() => setField({}, path, text))).toEqual({ code: "argument-invalid", what, fix });
  });

  it("leaves the others alone, and what it was given", () => {
    const before: Fields = { image: "a", devices: { eno1: { mtu: 1500 } } };
    expect(setField(before, "devices.eno1.address", "10.0.0.1")).toEqual({
      image: "a",
      devices: { eno1: { address: "10.0.0.1", mtu: 1500 } },
    });
    expect(before).toEqual({ image: "a", devices: { eno1: { mtu: 1500 } } });
  });

  it("to nothing unsets it", () => {
    expect(setField({ image: "a", cluster: "x" }, "image", "")).toEqual({ cluster: "x" });
    expect(setFieldValue({ image: "a" }, "image", null)).toEqual({});
    expect(setFieldValue({ overlays: ["a"] }, "overlays", [])).toEqual({});
  });

  it("takes whole lists and maps as values", () => {
    expect(setFieldValue({}, "overlays", ["a", "~b"])).toEqual({ overlays: ["a", "~b"] });
    expect(setFieldValue({ tags: { old: "1" } }, "tags", { b: "2", a: "1" })).toEqual({
      tags: { a: "1", b: "2" },
    });
  });
});

describe("unsetting a field", () => {
  it("takes a device away with its last field", () => {
    expect(unsetField({ devices: { eno1: { mtu: 1500 } } }, "devices.eno1.mtu")).toEqual({});
  });

  it("takes groups away", () => {
    const fields: Fields = { devices: { eno1: { mtu: 1500 }, eno2: { mtu: 1500 } }, bmc: { user: "x" } };
    expect(unsetField(fields, "devices.eno1")).toEqual({
      devices: { eno2: { mtu: 1500 } },
      bmc: { user: "x" },
    });
    expect(unsetField(unsetField(fields, "devices"), "bmc")).toEqual({});
  });

  it("that is not set changes nothing", () => {
    const fields: Fields = { image: "a" };
    expect(unsetField(fields, "devices.eno1.mtu")).toBe(fields);
  });

  it("refuses what is no field", () => {
    expect(refusal(() => unsetField({}, "devices.eno1.mut"))).toEqual({
      code: "argument-invalid",
      what: '"devices.eno1.mut" is no field',
      fix: "did you mean devices.eno1.mtu?",
    });
    expect(refusal(() => unsetField({}, "image.x"))).toEqual({
      code: "argument-invalid",
      what: '"image.x" goes on below image, which is one value',
      fix: "name image",
    });
  });

  it("after it was set restores what was there", () => {
    fc.assert(
      fc.property(arbitraryFields, arbitraryFields, (fields, other) => {
        for (const { path, value } of listLeaves(other)) {
          const text = renderFieldPath(path);
          const before = fieldAt(fields, text);
          if (before !== undefined || isBelowValue(fields, path.map(String))) continue;
          expect(unsetField(setFieldValue(fields, text, value), text)).toEqual(fields);
        }
      }),
    );
  });
});

describe("differences of fields", () => {
  it("when they are set and unset one by one, lead from one to the other", () => {
    fc.assert(
      fc.property(arbitraryFields, arbitraryFields, (before, after) => {
        let fields = before;
        for (const { path, after: value } of diffFields(before, after)) {
          fields = value === undefined ? unsetField(fields, path) : setFieldValue(fields, path, value);
        }
        expect(JSON.stringify(fields)).toBe(JSON.stringify(after));
      }),
    );
  });
});

/** Whether a path leads into a value that is no map, or to an empty map in free YAML. */
function isBelowValue(fields: Fields, path: readonly string[]): boolean {
  let at: Json | undefined = fields as Json;
  for (const key of path) {
    if (typeof at !== "object" || at === null || Array.isArray(at)) return true;
    if (Object.keys(at).length === 0) return true;
    at = Object.hasOwn(at, key) ? (at as Readonly<Record<string, Json>>)[key] : undefined;
    if (at === undefined) return false;
  }
  return true;
}

function refusal(act: () => unknown): { code: ErrorCode; what: string; fix: string | undefined } | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof MusterError) return { code: error.code, what: error.message, fix: error.fix };
    throw error;
  }
  return undefined;
}
