import { expect, it } from "vitest";

import { planRealMemory } from "./plan-memory-size.ts";

const KIB = 1024;

it.each([
  // MemTotal in kB, RealMemory as slurmd prints it
  [24_684_096, 24_105],
  [1_000_000, 976],
  [67_108_860, 65_535],
  [67_108_868, 65_536],
  [134_217_724, 131_072],
  [134_217_720, 131_071],
  [1_073_741_820, 1_048_576],
  [1_073_741_304, 1_048_575],
  [3_221_225_468, 3_145_728],
])("of %d kB is %d MiB", (kib, mib) => {
  expect(planRealMemory(kib * KIB, 4096)).toBe(mib);
});

it("counts pages of 64 KiB, which need the float's precision later", () => {
  expect(planRealMemory(134_217_664 * KIB, 65_536)).toBe(131_071);
  expect(planRealMemory(2_147_483_584 * KIB, 65_536)).toBe(2_097_152);
});
