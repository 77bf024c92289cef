import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { runCommand } from "#proto/host/run-command.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Lints the protos and writes proto/gen anew with buf and ts-proto, both from node_modules. */
export async function generateProtos(): Promise<void> {
  const cwd = join(ROOT, "proto");
  const buf = join(ROOT, "node_modules/.bin/buf");
  await runCommand({ program: buf, args: ["lint"], cwd });
  await rm(join(cwd, "gen"), { recursive: true, force: true });
  await runCommand({ program: buf, args: ["generate"], cwd });
}

if (import.meta.main) await generateProtos();
