import type { HardwareReport } from "#proto/contract/hardware-report.ts";

/** A report for tests: a two-socket node with one NIC, one disk and no GPU; `given` replaces whole parts of it. */
export function makeTestReport(given: Partial<HardwareReport> = {}): HardwareReport {
  return {
    schema: 1,
    slurm: {
      cpus: 64,
      boards: 1,
      socketsPerBoard: 2,
      coresPerSocket: 16,
      threadsPerCore: 2,
      realMemoryMib: 515_838,
      gres: [],
    },
    system: { vendor: "Dell Inc.", product: "PowerEdge R650", serial: "SN1", uuid: "4c4c4544-0043" },
    board: { vendor: "Dell Inc.", product: "0PYXKY" },
    firmware: { type: "efi", vendor: "Dell Inc.", version: "1.10.2", date: "03/21/2024" },
    cpu: {
      architecture: "x86_64",
      vendor: "GenuineIntel",
      model: "Intel(R) Xeon(R) Gold 6326 CPU @ 2.90GHz",
      flags: ["avx2", "avx512f", "fpu"],
      caches: [{ level: 3, type: "unified", sizeBytes: 25_165_824, count: 2 }],
    },
    numa: [
      { id: 0, cpus: "0-15,32-47", memoryBytes: 274_877_906_944, distances: [10, 20] },
      { id: 1, cpus: "16-31,48-63", memoryBytes: 274_877_906_944, distances: [20, 10] },
    ],
    memory: { totalBytes: 540_895_322_112 },
    networks: [
      {
        name: "eno1",
        mac: "52:54:00:00:00:01",
        driver: "bnxt_en",
        speedMbps: 25_000,
        isUp: true,
        pciAddress: "0000:31:00.0",
      },
    ],
    infiniband: [],
    disks: [
      {
        name: "nvme0n1",
        sizeBytes: 1_920_383_410_176,
        model: "SAMSUNG MZQL21T9",
        serial: "S64G",
        isRotational: false,
        transport: "nvme",
      },
    ],
    gpus: [],
    pci: [{ address: "0000:31:00.0", class: "020000", vendor: "14e4", device: "16d7", driver: "bnxt_en" }],
    kernel: "6.1.0-49-amd64",
    ...given,
  };
}
