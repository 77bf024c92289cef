import { createHash } from "node:crypto";
import { copyFile, cp, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { constants, zstdCompressSync } from "node:zlib";

import { DIST } from "./cluster.ts";

/** The version that an agent of the next release says it has. */
export const NEXT_VERSION = "9.9.9";
/** As long as the name of a real build: it is written over it, wherever it stands in the executable. */
const NEXT_BUILD = `sha256:${"5a".repeat(32)}`;

/** An installed release that can become the next one, as when its package is updated. */
export interface Release {
  readonly dist: string;
  /** From the next start of musterd on, nodes are offered another agent. Those that boot get the one before. */
  becomeNext(): Promise<void>;
}

/** A copy of what was built, in `directory`, with artifacts of its own. */
export async function installRelease(directory: string): Promise<Release> {
  const dist = join(directory, "release");
  await mkdir(join(dist, "lib"), { recursive: true });
  await mkdir(join(dist, "artifacts"));
  for (const name of ["musterd", "muster", "muster-initramfs"]) {
    await copyFile(join(DIST, name), join(dist, name));
    await copyFile(join(DIST, `lib/${name}.mjs`), join(dist, `lib/${name}.mjs`));
  }
  await copyFile(join(DIST, "lib/blob-worker.mjs"), join(dist, "lib/blob-worker.mjs"));
  for (const name of ["chunks", "initramfs"]) {
    await cp(join(DIST, "lib", name), join(dist, "lib", name), { recursive: true });
  }
  for (const name of ["node", "node_modules"]) {
    await symlink(join(DIST, "lib", name), join(dist, "lib", name));
  }
  for (const name of ["base-zstd.cpio", "base-gzip.cpio", "agent.json", "agent.zst"]) {
    await copyFile(join(DIST, "artifacts", name), join(dist, "artifacts", name));
  }
  const program = await readFile(join(DIST, "muster-agent"));
  return { dist, becomeNext: () => writeNextAgent(join(dist, "artifacts"), program) };
}

/** The built agent under another name of its build. */
async function writeNextAgent(artifacts: string, program: Buffer): Promise<void> {
  const about = join(artifacts, "agent.json");
  const { build, sizeBytes } = JSON.parse(await readFile(about, "utf8")) as {
    readonly build: string;
    readonly sizeBytes: number;
  };
  for (let at = program.indexOf(build); at >= 0; at = program.indexOf(build, at + 1)) {
    program.write(NEXT_BUILD, at, "latin1");
  }
  const packed = zstdCompressSync(program, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  await rm(join(artifacts, "agent.zst"));
  await writeFile(join(artifacts, "agent.zst"), packed);
  const digest = `sha256:${createHash("sha256").update(packed).digest("hex")}`;
  const blob = { digest, sizeBytes: packed.length };
  await writeFile(about, JSON.stringify({ version: NEXT_VERSION, build: NEXT_BUILD, sizeBytes, blob }));
}
