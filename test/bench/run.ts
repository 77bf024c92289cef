import { cpus, release, totalmem } from "node:os";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";

import { gainLabPrivileges } from "../lab/gain-lab-privileges.ts";
import { benchBlobs } from "./blobs.ts";
import { benchBoot } from "./boot.ts";
import { benchController } from "./controller.ts";
import { benchFleet, benchLargeFleet } from "./fleet.ts";
import { benchFootprint } from "./footprint.ts";
import { benchHardware } from "./hardware.ts";
import { benchInventory } from "./inventory.ts";
import { benchMemory } from "./memory.ts";
import { benchNoise } from "./noise.ts";
import { benchOverlay } from "./overlay.ts";
import type { Bench } from "./render-table.ts";
import { benchSizes } from "./sizes.ts";

/** The tables of docs/performance.md, in its order. They need what `npm run build` makes. */
const BENCHES: Readonly<Record<string, Bench>> = {
  boot: benchBoot,
  memory: benchMemory,
  blobs: benchBlobs,
  sizes: benchSizes,
  controller: benchController,
  inventory: benchInventory,
  hardware: benchHardware,
  footprint: benchFootprint,
  noise: benchNoise,
  overlay: benchOverlay,
  fleet: benchFleet,
  "fleet-10000": benchLargeFleet,
};

/** `npm run bench [-- NAME...]`: measures, and prints tables in Markdown; how far it is goes to standard error. */
async function main(names: readonly string[]): Promise<void> {
  const unknown = names.filter((name) => !(name in BENCHES));
  if (unknown.length > 0) {
    throw new MusterError({
      code: "argument-invalid",
      what: `there is no benchmark ${unknown.join(", ")}`,
      fix: `npm run bench [-- NAME...] with NAME one of ${Object.keys(BENCHES).join(", ")}; all without a name`,
    });
  }
  await gainLabPrivileges();
  const [cpu] = cpus();
  process.stdout.write(
    `${cpus().length} x ${cpu?.model ?? "unknown CPU"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node.js ${process.version}, ${new Date().toISOString().slice(0, 10)}\n\n`,
  );
  for (const [name, bench] of Object.entries(BENCHES)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const started = performance.now();
    const text = await bench((line) => process.stderr.write(`${name}: ${line}\n`));
    process.stdout.write(`${text}\n`);
    process.stderr.write(`${name}: ${((performance.now() - started) / 1000).toFixed(0)} s\n`);
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`bench: ${errorSentence(error)}\n`);
  if (error instanceof MusterError && error.fix !== undefined) process.stderr.write(`  ${error.fix}\n`);
  else if (error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  process.exitCode = 1;
}
