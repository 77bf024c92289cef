import type { HardwareReport } from "#proto/contract/hardware-report.ts";

/**
 * The SMBIOS table as the kernel shows it (/sys/firmware/dmi/tables/DMI), read without dmidecode. Layouts are those of the
 * System Management BIOS Reference Specification, DMTF DSP0134 3.7: section 6.1.2 for structures, 7.5 for processors,
 * 7.18 for memory devices.
 */

type MemoryModules = NonNullable<HardwareReport["memory"]["modules"]>;

/** One structure of the table. */
export interface SmbiosStructure {
  readonly type: number;
  /** The formatted area with its header of four bytes; offsets are those of the specification. */
  readonly data: Buffer;
  /** The unformed section; string number 1 is the first. */
  readonly strings: readonly string[];
}

const PROCESSOR = 4;
const MEMORY_DEVICE = 17;
const END_OF_TABLE = 127;
const HEADER_BYTES = 4;
/** A table of a large server has some thousand structures; a damaged one must not keep us. */
const MAX_STRUCTURES = 65_536;

/** Memory types of table 77 (DSP0134 7.18.2); other and unknown ones are absent. */
const MEMORY_TYPES: Readonly<Record<number, string>> = {
  0x03: "DRAM",
  0x07: "RAM",
  0x0f: "SDRAM",
  0x12: "DDR",
  0x13: "DDR2",
  0x14: "DDR2 FB-DIMM",
  0x18: "DDR3",
  0x19: "FBD2",
  0x1a: "DDR4",
  0x1b: "LPDDR",
  0x1c: "LPDDR2",
  0x1d: "LPDDR3",
  0x1e: "LPDDR4",
  0x1f: "NVDIMM",
  0x20: "HBM",
  0x21: "HBM2",
  0x22: "DDR5",
  0x23: "LPDDR5",
  0x24: "HBM3",
};

/** The structures of a table, in its order. A table that is cut off ends with its last whole structure. */
export function parseSmbios(table: Buffer): readonly SmbiosStructure[] {
  const structures: SmbiosStructure[] = [];
  for (let at = 0; at + HEADER_BYTES <= table.length && structures.length < MAX_STRUCTURES; ) {
    const type = table.readUInt8(at);
    const length = table.readUInt8(at + 1);
    const stringsAt = at + length;
    if (length < HEADER_BYTES || stringsAt > table.length) break;
    // The strings end with an empty one; without any there are two zeros all the same.
    const end = table.indexOf("\u0000\u0000", stringsAt, "latin1");
    if (end === -1) break;
    const text = table.toString("latin1", stringsAt, end);
    structures.push({
      type,
      data: table.subarray(at, stringsAt),
      strings: text === "" ? [] : text.split("\u0000"),
    });
    if (type === END_OF_TABLE) break;
    at = end + 2;
  }
  return structures;
}

/** The modules that are plugged in, in the order of the table; empty slots are left out. Volatile and persistent alike. */
export function parseMemoryModules(structures: readonly SmbiosStructure[]): MemoryModules {
  const modules = structures
    .filter(({ type }) => type === MEMORY_DEVICE)
    .flatMap((structure) => {
      const sizeBytes = sizeOf(structure.data);
      return sizeBytes === undefined ? [] : [{ structure, sizeBytes }];
    });
  const slots = modules.map(({ structure }) => stringAt(structure, 0x10) ?? "");
  const isUnique = new Set(slots).size === slots.length && !slots.includes("");
  return modules.map(({ structure, sizeBytes }, index) => {
    const { data } = structure;
    const type = MEMORY_TYPES[byteAt(data, 0x12)];
    // What it runs at; firmware before SMBIOS 2.7 tells only what it could do.
    const speedMts = speedAt(data, 0x20, 0x58) ?? speedAt(data, 0x15, 0x54);
    const [vendor, serial, part] = [0x17, 0x18, 0x1a].map((offset) => stringAt(structure, offset));
    return {
      slot: slotName(slots[index] ?? "", isUnique ? undefined : stringAt(structure, 0x11), index),
      sizeBytes,
      ...(type === undefined ? {} : { type }),
      ...(speedMts === undefined ? {} : { speedMts }),
      ...(vendor === undefined ? {} : { vendor }),
      ...(part === undefined ? {} : { part }),
      ...(serial === undefined ? {} : { serial }),
    };
  });
}

/** The processor as its maker calls it; firmware knows it on ARM servers, where /proc/cpuinfo has numbers only. */
export function parseProcessorVersion(structures: readonly SmbiosStructure[]): string | undefined {
  const socket = structures.find(({ type }) => type === PROCESSOR);
  return socket === undefined ? undefined : stringAt(socket, 0x10);
}

/** Boards that call every slot "DIMM 0" tell them apart by their bank. */
function slotName(slot: string, bank: string | undefined, index: number): string {
  if (slot === "") return bank === undefined ? `slot ${index}` : `${bank} ${index}`;
  return bank === undefined ? slot : `${bank} ${slot}`;
}

/** Bytes of the module; undefined: none is plugged in. */
function sizeOf(data: Buffer): number | undefined {
  const size = wordAt(data, 0x0c);
  // 0xFFFF: something is there, and firmware does not know how much.
  if (size === 0 || size === undefined || size === 0xffff) return undefined;
  const MIB = 1024 ** 2;
  if (size === 0x7fff && data.length >= 0x20) return (data.readUInt32LE(0x1c) & 0x7fff_ffff) * MIB;
  return size & 0x8000 ? (size & 0x7fff) * 1024 : size * MIB;
}

function speedAt(data: Buffer, offset: number, extendedOffset: number): number | undefined {
  const speed = wordAt(data, offset);
  if (speed === undefined || speed === 0) return undefined;
  if (speed !== 0xffff) return speed;
  return data.length >= extendedOffset + 4 ? data.readUInt32LE(extendedOffset) & 0x7fff_ffff : undefined;
}

function byteAt(data: Buffer, offset: number): number {
  return offset < data.length ? data.readUInt8(offset) : 0;
}

function wordAt(data: Buffer, offset: number): number | undefined {
  return offset + 2 <= data.length ? data.readUInt16LE(offset) : undefined;
}

/** What firmware writes where it has nothing to say. */
const PLACEHOLDER =
  /^(not specified|not available|n\/a|none|no dimm|unknown|default string|undefined|to be filled.*|0+|x+|-+)$/i;

function stringAt({ data, strings }: SmbiosStructure, offset: number): string | undefined {
  const text = strings[byteAt(data, offset) - 1]?.replaceAll(/[^\x20-\x7e]+/g, " ").trim();
  return text === undefined || text === "" || PLACEHOLDER.test(text) ? undefined : text.slice(0, 128);
}
