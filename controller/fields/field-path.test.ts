import fc from "fast-check";
import { describe, expect, it, test } from "vitest";

import { MusterError } from "#proto/contract/muster-error.ts";

import { type FieldPath, parseFieldPath, renderFieldPath } from "./field-path.ts";

const CASES: readonly (readonly [text: string, path: FieldPath])[] = [
  ["image", ["image"]],
  ["devices.eno1.mtu", ["devices", "eno1", "mtu"]],
  ['devices."bond0.100".vlanId', ["devices", "bond0.100", "vlanId"]],
  ["disks./dev/sda.wipeTable", ["disks", "/dev/sda", "wipeTable"]],
  ['disks./dev/sda.partitions."a \\"b\\"".number', ["disks", "/dev/sda", "partitions", 'a "b"', "number"]],
  ["kernelArguments[0]", ["kernelArguments", 0]],
  ["resources.fstab[1].spec", ["resources", "fstab", 1, "spec"]],
  ['tags.""', ["tags", ""]],
];

describe("the path of a field", () => {
  test.each(CASES)("%s", (text, path) => {
    expect(parseFieldPath(text)).toEqual(path);
    expect(renderFieldPath(path)).toBe(text);
  });

  it("may quote a name that need not be quoted", () => {
    expect(parseFieldPath('"devices"."eno1"."mtu"')).toEqual(["devices", "eno1", "mtu"]);
  });

  it("is read back whatever the names are", () => {
    const name = fc.oneof(fc.string(), fc.string({ unit: "binary" }));
    const parts = fc.tuple(name, fc.array(fc.oneof(name, fc.nat(999_999))));
    fc.assert(
      fc.property(parts, ([first, rest]) => {
        expect(parseFieldPath(renderFieldPath([first, ...rest]))).toEqual([first, ...rest]);
      }),
    );
  });

  test.each([
    ["", "it ends too early"],
    ["devices.", "it ends too early"],
    ["devices..mtu", 'it cannot be read from ".mtu" on'],
    ["[0]", 'it cannot be read from "[0]" on'],
    ["image=x", 'it cannot be read from "=x" on'],
    ['tags."x', 'it cannot be read from "\\"x" on'],
    ['tags."\\x"', 'it cannot be read from "\\"\\\\x\\"" on'],
  ])("is not %j: %s", (text, why) => {
    expect(() => parseFieldPath(text)).toThrow(
      new MusterError({
        code: "argument-invalid",
        what: `${JSON.stringify(text)} is not the path of a field: ${why}`,
        fix: 'write names with dots between, and quote a name that holds a dot: devices."bond0.100".mtu',
      }),
    );
  });
});
