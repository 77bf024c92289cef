import { createHash } from "node:crypto";
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { constants, zstdCompress } from "node:zlib";
import { promisify } from "node:util";

/** What musterd reads about the agent it gives to nodes: controller/agents/agent-release.ts. */
interface AgentReleaseFile {
  readonly version: string;
  readonly build: string;
  readonly sizeBytes: number;
  readonly blob: { readonly digest: string; readonly sizeBytes: number };
}

/** As for the initramfs: beyond it, size hardly falls and time grows (docs/performance.md). */
const LEVEL = 15;

/**
 * Leaves the agent as nodes that are up fetch it: OUT/agent.zst, and OUT/agent.json, which tells of it. Not the
 * squashfs of the base archive, although that is the same size: a node would have to mount it, and the agent's unit
 * may not; nor could a mount made inside the unit be seen outside. Does nothing when it is there already.
 */
export async function packAgentRelease(options: {
  readonly program: string;
  readonly build: string;
  readonly version: string;
  readonly outDir: string;
}): Promise<void> {
  const { program, build, version, outDir } = options;
  const [packed, about] = [join(outDir, "agent.zst"), join(outDir, "agent.json")];
  const known = await readFile(about, "utf8").catch(() => "{}");
  const { build: packedBuild } = JSON.parse(known) as Partial<AgentReleaseFile>;
  const { size } = await stat(packed).catch(() => ({ size: 0 }));
  if (packedBuild === build && size > 0) return;
  await mkdir(outDir, { recursive: true });
  const executable = await readFile(program);
  const content = await promisify(zstdCompress)(executable, {
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL },
  });
  await writeFile(`${packed}.new`, content);
  await rename(`${packed}.new`, packed);
  const release: AgentReleaseFile = {
    version,
    build,
    sizeBytes: executable.length,
    blob: {
      digest: `sha256:${createHash("sha256").update(content).digest("hex")}`,
      sizeBytes: content.length,
    },
  };
  await writeFile(`${about}.new`, `${JSON.stringify(release, undefined, 2)}\n`);
  await rename(`${about}.new`, about);
}
