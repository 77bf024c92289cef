import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { constants, gunzip, zstdCompress } from "node:zlib";

import { runCommand } from "#proto/host/run-command.ts";

import { findKernel } from "../../controller/images/find-kernel.ts";
import { packImage } from "../../controller/images/pack-image.ts";
import { DIST } from "../e2e/cluster.ts";
import { makeDebianTree } from "../lab/debian-image.ts";
import { renderMegabytes, renderSpread, renderTable } from "./render-table.ts";

const PROJECT = join(DIST, "..");
const START_RUNS = 11;

/** How large what is sent to nodes is, and how fast the programs start. */
export async function benchSizes(say: (line: string) => void): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), "muster-bench-"));
  try {
    const tree = await makeDebianTree(PROJECT);
    return [
      renderTable(["file", "MB"], await measureSizes(tree, scratch, say)),
      renderTable(["start", "ms"], await measureStarts(say)),
    ].join("\n");
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function measureSizes(
  tree: string,
  scratch: string,
  say: (line: string) => void,
): Promise<readonly (readonly string[])[]> {
  const sizeOf = async (path: string): Promise<number> => (await stat(path)).size;
  say("agent");
  const agent = await readFile(join(DIST, "muster-agent"));
  const packedAgent = await promisify(zstdCompress)(agent, {
    params: { [constants.ZSTD_c_compressionLevel]: 19 },
  });
  say("modules archive");
  const kernel = await findKernel(tree);
  const modules = join(scratch, "modules.cpio");
  const compression = kernel.features.initramfsCompression;
  await runCommand({
    program: join(DIST, "muster-initramfs"),
    args: [
      "modules",
      "--tree",
      tree,
      "--kernel",
      kernel.release,
      "--compression",
      compression,
      "--out",
      modules,
    ],
    deadlineMs: 300_000,
  });
  say("squashfs");
  const root = join(scratch, "root.squashfs");
  await packImage(
    {
      ...{ tree, out: root, scratch, userId: process.getuid?.() ?? 0 },
      compression: kernel.features.squashfsCompression,
    },
    new AbortController().signal,
  );
  say("the tree as others send it: cpio, gzip");
  const { stdout } = await runCommand({
    program: "sh",
    args: [
      "-c",
      'cd "$0" && find . -xdev | cpio --quiet -o -H newc | gzip -6 >"$1/root.cpio.gz" && stat -c %s "$1/root.cpio.gz"',
      tree,
      scratch,
    ],
    deadlineMs: 300_000,
  });
  const unpackedCpio = (await promisify(gunzip)(await readFile(join(scratch, "root.cpio.gz")))).length;
  const node = join(PROJECT, `node_modules/node-linux-${process.arch}/bin/node`);
  return [
    ["Node.js in the agent, as published", renderMegabytes(await sizeOf(node))],
    ["muster-agent (stripped)", renderMegabytes(agent.length)],
    ["muster-agent, zstd -19", renderMegabytes(packedAgent.length)],
    ["base archive, zstd", renderMegabytes(await sizeOf(join(DIST, "artifacts/base-zstd.cpio")))],
    ["base archive, gzip", renderMegabytes(await sizeOf(join(DIST, "artifacts/base-gzip.cpio")))],
    [`modules archive, ${compression}`, renderMegabytes(await sizeOf(modules))],
    [`image, squashfs ${kernel.features.squashfsCompression}`, renderMegabytes(await sizeOf(root))],
    ["the same tree, cpio and gzip", renderMegabytes(Number(stdout))],
    ["the same tree, cpio (what is kept in RAM of it unpacked)", renderMegabytes(unpackedCpio)],
  ];
}

async function measureStarts(say: (line: string) => void): Promise<readonly (readonly string[])[]> {
  const rows: string[][] = [];
  for (const [name, program, ...args] of [
    ["muster-agent --version", join(DIST, "muster-agent"), "--version"],
    ["muster version", join(DIST, "muster"), "version"],
    ["the Node.js of both, doing nothing", process.execPath, "--eval", "0"],
  ] as const) {
    say(name);
    const times: number[] = [];
    for (let run = 0; run < START_RUNS; run++) {
      const started = performance.now();
      await runCommand({ program, args });
      times.push(performance.now() - started);
    }
    rows.push([name, renderSpread(times, 0)]);
  }
  return rows;
}
