import { type Static, Type } from "typebox";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";

/**
 * A hardware report as a node may send it: the shape of HardwareReport, with every string and list bounded. The bounds
 * leave room for machines ten times the size of any there are.
 */
const Word = Type.String({ maxLength: 256 });
const List = Type.String({ maxLength: 8192 });
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Amount = Type.Number({ minimum: 0 });
const Maybe = Type.Optional(Word);
const MaybeCount = Type.Optional(Count);
const MaybeAmount = Type.Optional(Amount);
const Some = 1024;
const Many = 16_384;

/** What goes into slurm.conf and gres.conf as it is: nothing that would end a value or a line there. */
const ConfigWord = Type.String({ maxLength: 256, pattern: "^[^\\s,#\"'=]*$" });
const DeviceList = Type.String({ maxLength: 8192, pattern: "^[A-Za-z0-9_/.,:[\\]-]*$" });

const Slurm = Type.Object({
  cpus: Count,
  boards: Count,
  socketsPerBoard: Count,
  coresPerSocket: Count,
  threadsPerCore: Count,
  realMemoryMib: Count,
  gres: Type.Array(
    Type.Object({
      name: Type.Literal("gpu"),
      type: Type.Optional(ConfigWord),
      count: Count,
      files: DeviceList,
    }),
    { maxItems: Some },
  ),
});

const Cpu = Type.Object({
  architecture: Word,
  vendor: Maybe,
  model: Maybe,
  family: MaybeCount,
  modelNumber: MaybeCount,
  stepping: MaybeCount,
  microcode: Maybe,
  maxMhz: MaybeAmount,
  flags: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 4096 }),
  caches: Type.Array(
    Type.Object({
      level: Count,
      type: Type.Enum(["data", "instruction", "unified"]),
      sizeBytes: Count,
      count: Count,
    }),
    { maxItems: Some },
  ),
  offline: Type.Optional(List),
});

const Memory = Type.Object({
  totalBytes: Count,
  modules: Type.Optional(
    Type.Array(
      Type.Object({
        slot: Word,
        sizeBytes: Count,
        type: Maybe,
        speedMts: MaybeAmount,
        vendor: Maybe,
        part: Maybe,
        serial: Maybe,
      }),
      { maxItems: Some },
    ),
  ),
});

const Network = Type.Object({
  name: Word,
  mac: Maybe,
  driver: Maybe,
  firmware: Maybe,
  speedMbps: MaybeAmount,
  isUp: Type.Boolean(),
  pciAddress: Maybe,
});

const Infiniband = Type.Object({
  name: Word,
  type: Maybe,
  firmware: Maybe,
  guid: Maybe,
  ports: Type.Array(Type.Object({ port: Count, state: Word, rateGbps: MaybeAmount, linkLayer: Maybe }), {
    maxItems: 256,
  }),
});

const Disk = Type.Object({
  name: Word,
  sizeBytes: Count,
  model: Maybe,
  serial: Maybe,
  firmware: Maybe,
  isRotational: Type.Boolean(),
  transport: Maybe,
});

const Gpu = Type.Object({
  vendor: Type.Enum(["nvidia", "amd", "intel"]),
  model: Word,
  uuid: Maybe,
  memoryBytes: MaybeCount,
  driver: Maybe,
  pciAddress: Word,
  device: Maybe,
});

const Pci = Type.Object({
  address: Word,
  class: Word,
  vendor: Word,
  device: Word,
  subsystem: Maybe,
  driver: Maybe,
  link: Type.Optional(
    Type.Object({ speedGts: MaybeAmount, width: Amount, maxSpeedGts: Amount, maxWidth: Amount }),
  ),
});

export const HardwareSchema = Type.Object({
  schema: Type.Literal(1),
  slurm: Slurm,
  system: Type.Object({ vendor: Maybe, product: Maybe, version: Maybe, serial: Maybe, uuid: Maybe }),
  board: Type.Object({ vendor: Maybe, product: Maybe, version: Maybe, serial: Maybe }),
  firmware: Type.Object({ type: Type.Enum(["bios", "efi"]), vendor: Maybe, version: Maybe, date: Maybe }),
  cpu: Cpu,
  numa: Type.Array(
    Type.Object({
      id: Count,
      cpus: List,
      memoryBytes: Count,
      distances: Type.Array(Amount, { maxItems: Some }),
    }),
    { maxItems: Some },
  ),
  memory: Memory,
  networks: Type.Array(Network, { maxItems: Some }),
  infiniband: Type.Array(Infiniband, { maxItems: Some }),
  disks: Type.Array(Disk, { maxItems: Many }),
  gpus: Type.Array(Gpu, { maxItems: Some }),
  pci: Type.Array(Pci, { maxItems: Many }),
  bmc: Type.Optional(Type.Object({ address: Maybe, mac: Maybe, firmware: Maybe })),
  kernel: Word,
});

type Plain<T> = T extends readonly (infer E)[]
  ? Plain<E>[]
  : T extends object
    ? { -readonly [K in keyof T]: Plain<T[K]> }
    : T;
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the one way to ask whether two types are identical
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : never;

// A field that is added to the contract and not here would be dropped from every report: this line does not compile then.
true satisfies Same<Plain<Static<typeof HardwareSchema>>, Plain<HardwareReport>>;
