import { expect, test } from "vitest";
import { makeHardwareTree } from "../testing/make-hardware-tree.ts";
import { parseMemoryModules, parseProcessorVersion, parseSmbios } from "./parse-smbios.ts";
import { readBytes } from "./read-sysfs.ts";

/** One structure as in the table; `values` are bytes at offsets of the specification. */
function structure(
  type: number,
  length: number,
  values: Readonly<Record<number, readonly number[]>>,
  strings: readonly string[] = [],
): Buffer {
  const data = Buffer.alloc(length);
  data[0] = type;
  data[1] = length;
  for (const [offset, bytes] of Object.entries(values)) data.set(bytes, Number(offset));
  return Buffer.concat([data, Buffer.from(`${strings.map((text) => `${text}\0`).join("") || "\0"}\0`)]);
}

const END = structure(127, 4, {});
/** A DDR4 module of SMBIOS 3.2 of 32 GiB, of which `more` differs. */
function dimm(more: Readonly<Record<number, readonly number[]>>, strings: readonly string[]): Buffer {
  const base = {
    0x0c: [0xff, 0x7f],
    0x10: [1],
    0x11: [2],
    0x12: [0x1a],
    0x15: [0x80, 0x0c],
    0x17: [3],
    0x18: [4],
    0x1a: [5],
    0x1c: [0x00, 0x80, 0x00, 0x00],
    0x20: [0x75, 0x0b],
  };
  return structure(17, 0x5c, { ...base, ...more }, strings);
}
const modulesOf = (...parts: readonly Buffer[]) => parseMemoryModules(parseSmbios(Buffer.concat(parts)));
const MADE = ["Samsung", "03A1B2C3", "M393A4K40DB3-CWE"];

test("the table of a QEMU machine is read whole", async () => {
  await using tree = await makeHardwareTree("qemu-q35");
  const table = readBytes(`${tree.root}/sys/firmware/dmi/tables/DMI`) ?? Buffer.alloc(0);
  const structures = parseSmbios(table);
  expect(structures.map(({ type }) => type)).toEqual([0, 1, 3, 4, 4, 16, 17, 19, 32, 127]);
  expect(structures[1]?.strings).toEqual([
    "QEMU",
    "Standard PC (Q35 + ICH9, 2009)",
    "pc-q35-7.2",
    "LAB-C001",
  ]);
  expect(parseProcessorVersion(structures)).toBe("pc-q35-7.2");
  expect(parseMemoryModules(structures)).toEqual([
    {
      ...{ slot: "DIMM 0", sizeBytes: 1024 ** 3, type: "RAM", speedMts: 3200 },
      ...{ vendor: "Micron", part: "MTA9", serial: "SN17" },
    },
  ]);
});

test("a module has its size, what it runs at, and who made it; an empty slot is none", () => {
  expect(
    modulesOf(
      dimm({}, ["A1", "NODE 1", ...MADE]),
      dimm({ 0x0c: [0, 0] }, ["A2", "NODE 1", "NO DIMM", "NO DIMM", "NO DIMM"]),
      dimm({ 0x0c: [0xff, 0xff] }, ["A3"]),
      END,
    ),
  ).toEqual([
    {
      ...{ slot: "A1", sizeBytes: 32 * 1024 ** 3, type: "DDR4", speedMts: 2933 },
      ...{ vendor: "Samsung", part: "M393A4K40DB3-CWE", serial: "03A1B2C3" },
    },
  ]);
});

test("sizes in KiB and MiB, extended speeds, and what firmware does not know are read as the specification says", () => {
  const [kib, old, fast, nothing] = modulesOf(
    dimm({ 0x0c: [0x00, 0x82] }, ["KIB"]),
    structure(17, 0x1b, { 0x0c: [0x00, 0x20], 0x10: [1], 0x12: [0x18], 0x15: [0x35, 0x05] }, ["OLD"]),
    dimm({ 0x20: [0xff, 0xff], 0x58: [0x80, 0x25, 0, 0], 0x12: [0x22] }, ["FAST"]),
    dimm({ 0x12: [2], 0x15: [0, 0], 0x20: [0, 0] }, ["NOTHING", "", "Unknown", "00000000", "Not Specified"]),
    END,
  );
  expect(kib).toMatchObject({ slot: "KIB", sizeBytes: 512 * 1024 });
  expect(old).toEqual({ slot: "OLD", sizeBytes: 8 * 1024 ** 3, type: "DDR3", speedMts: 1333 });
  expect(fast).toMatchObject({ slot: "FAST", type: "DDR5", speedMts: 9600 });
  expect(nothing).toEqual({ slot: "NOTHING", sizeBytes: 32 * 1024 ** 3 });
});

test("slots of one name are told apart by their bank, nameless ones by their place", () => {
  const slots = (...all: readonly (readonly string[])[]): readonly string[] =>
    modulesOf(...all.map((strings) => dimm({}, strings)), END).map(({ slot }) => slot);
  expect(slots(["DIMM 0", "P0 CHANNEL A"], ["DIMM 0", "P0 CHANNEL B"])).toEqual([
    "P0 CHANNEL A DIMM 0",
    "P0 CHANNEL B DIMM 0",
  ]);
  expect(slots([], [])).toEqual(["slot 0", "slot 1"]);
});

test("a table that is cut off or damaged ends with its last whole structure, wherever it is cut", () => {
  const table = Buffer.concat([dimm({}, ["A1", "B", ...MADE]), dimm({}, ["A2", "B", ...MADE]), END]);
  for (let length = 0; length < table.length; length++) {
    const count = modulesOf(table.subarray(0, length)).length;
    expect(count).toBe(length >= table.length - 6 ? 2 : length >= (table.length - 6) / 2 ? 1 : 0);
  }
  expect(parseSmbios(Buffer.from([17, 0, 0, 0, 0, 0]))).toEqual([]);
  expect(parseSmbios(Buffer.from([17, 200, 0, 0, 0, 0]))).toEqual([]);
  // A string number beyond the strings, and control characters in one.
  expect(modulesOf(dimm({ 0x17: [9] }, ["A\u0007\u001b1"]), END)).toMatchObject([{ slot: "A 1" }]);
});
