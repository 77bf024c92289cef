import { access, chmod, copyFile, mkdir, readFile, symlink } from "node:fs/promises";
import { basename, dirname } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommand } from "#proto/host/run-command.ts";
import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";
import { type Compression, compressArchive } from "./compress-archive.ts";
import { findProgram, gatherBusybox, gatherLibraries } from "./gather-programs.ts";
import { type CpioEntry, withParents, writeCpio } from "./write-cpio.ts";

/** What {@link buildBase} makes an archive of. */
export interface BaseInputs {
  /** The muster-agent executable. */
  readonly agent: string;
  /** muster-agent.service. */
  readonly unit: string;
  /** Directory with `init` and `udhcpc.script`. */
  readonly assets: string;
  readonly compression: Compression;
  readonly out: string;
  /** Empty directory for temporary files. */
  readonly scratch: string;
}

const AGENT_DIRECTORY = "usr/lib/muster";
const UNIT_DIRECTORY = "usr/lib/systemd/system";

/**
 * Builds the base archive, the same for every kernel: /init, busybox, the libraries the agent needs, and the
 * agent in /agent.squashfs. Two cpio archives one after the other: first the one with the squashfs, not
 * compressed again; then the small rest, compressed as a whole. Same inputs, same bytes. Returns its size.
 */
export async function buildBase(
  inputs: BaseInputs,
  signal: AbortSignal,
): Promise<{ readonly sizeBytes: number }> {
  for (const [what, path] of [
    ["agent executable", inputs.agent],
    ["unit file", inputs.unit],
  ] as const) {
    await access(path).catch((cause: unknown) => {
      throw new MusterError({
        code: "initramfs-build-failed",
        what: `there is no ${what} at ${path}`,
        fix: "`npm run build` makes dist/muster-agent; the unit file is part of the source tree",
        cause,
      });
    });
  }
  const unsquashfs = await findProgram("unsquashfs", "squashfs-tools");
  const setfattr = await findProgram("setfattr", "attr");
  // Images carry their ACLs in a list, squashfs has no place for them: usr/lib/muster/image.acl.
  const setfacl = await findProgram("setfacl", "acl");
  const getfattr = await findProgram("getfattr", "attr");
  const squashfs = await packAgent(inputs, [setfattr, getfattr], signal);
  const agentArchive = writeCpio([{ kind: "file", path: "agent.squashfs", mode: 0o644, content: squashfs }]);

  const files: readonly CpioEntry[] = [
    { kind: "file", path: "init", mode: 0o755, content: await readFile(`${inputs.assets}/init`) },
    {
      kind: "file",
      path: "etc/udhcpc.script",
      mode: 0o755,
      content: await readFile(`${inputs.assets}/udhcpc.script`),
    },
    // The kernel opens it for /init before anything is mounted on /dev.
    { kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { kind: "file", path: "bin/unsquashfs", mode: 0o755, content: await readFile(unsquashfs) },
    { kind: "file", path: "bin/setfattr", mode: 0o755, content: await readFile(setfattr) },
    { kind: "file", path: "bin/setfacl", mode: 0o755, content: await readFile(setfacl) },
    ...(["proc", "sys", "run", "tmp", "newroot"] as const).map(
      (path) => ({ kind: "directory", path, mode: 0o755 }) as const,
    ),
    ...(await gatherBusybox(signal)),
    ...(await gatherLibraries(
      [inputs.agent, unsquashfs, setfattr, setfacl, await findProgram("busybox", "busybox-static")],
      signal,
    )),
  ];
  const rest = await compressArchive(
    writeCpio(withParents(files)),
    inputs.compression,
    { effort: "release", scratch: inputs.scratch },
    signal,
  );
  const archive = Buffer.concat([agentArchive, rest]);
  await mkdir(dirname(inputs.out), { recursive: true });
  await writeFileAtomically(inputs.out, archive);
  return { sizeBytes: archive.length };
}

/** The agent's own layer: mounted by /init, and laid over the image so that images need not contain the agent. */
async function packAgent(
  inputs: BaseInputs,
  programs: readonly string[],
  signal: AbortSignal,
): Promise<Buffer> {
  const tree = `${inputs.scratch}/agent`;
  const place = async (from: string, to: string, mode: number): Promise<void> => {
    await mkdir(dirname(`${tree}/${to}`), { recursive: true });
    await copyFile(from, `${tree}/${to}`);
    await chmod(`${tree}/${to}`, mode);
  };
  await place(inputs.agent, `${AGENT_DIRECTORY}/muster-agent`, 0o755);
  // For the runtime overlay: Node.js has no call for extended attributes, and images need not have these programs.
  for (const program of programs) await place(program, `${AGENT_DIRECTORY}/${basename(program)}`, 0o755);
  await place(inputs.unit, `${UNIT_DIRECTORY}/muster-agent.service`, 0o644);
  await mkdir(`${tree}/${UNIT_DIRECTORY}/multi-user.target.wants`);
  await symlink(
    "../muster-agent.service",
    `${tree}/${UNIT_DIRECTORY}/multi-user.target.wants/muster-agent.service`,
  );
  for (const directory of [
    "",
    "/usr",
    "/usr/lib",
    `/${AGENT_DIRECTORY}`,
    "/usr/lib/systemd",
    `/${UNIT_DIRECTORY}`,
    `/${UNIT_DIRECTORY}/multi-user.target.wants`,
  ]) {
    await chmod(`${tree}${directory}`, 0o755);
  }
  const image = `${inputs.scratch}/agent.squashfs`;
  await runCommand(
    {
      program: await findProgram("mksquashfs", "squashfs-tools"),
      args: [
        tree,
        image,
        "-noappend",
        "-quiet",
        "-no-progress",
        "-no-exports",
        "-no-xattrs",
        "-all-root",
        "-all-time",
        "0",
        "-mkfs-time",
        "0",
        "-b",
        AGENT_BLOCK_SIZE,
        ...squashfsCompression(inputs.compression),
      ],
      // SOURCE_DATE_EPOCH of the caller would contradict the times above, and mksquashfs refuses both.
      env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin" },
      deadlineMs: 600_000,
    },
    signal,
  );
  return readFile(image);
}

const AGENT_BLOCK_SIZE = "256K";

/**
 * Where the size stops falling: of the agent's 109 MB, zstd 19 makes 35.3 MB in 23 CPU seconds, 15 makes 35.5 MB
 * in 11, 12 makes 38.4 MB in 5; gzip 9 40.2 MB in 9, 6 40.4 MB in 3 (docs/performance.md).
 */
function squashfsCompression(compression: Compression): readonly string[] {
  switch (compression) {
    case "zstd":
      return ["-comp", "zstd", "-Xcompression-level", "15"];
    case "xz":
      return ["-comp", "xz"];
    case "gzip":
      return ["-comp", "gzip", "-Xcompression-level", "6"];
  }
}
