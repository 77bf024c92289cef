import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommand } from "#proto/host/run-command.ts";
import { type Compression, decompressArchive, detectCompression } from "./compress-archive.ts";
import { readCpio } from "./read-cpio.ts";

/** One path inside an archive. */
export interface ListedFile {
  readonly path: string;
  readonly kind: "file" | "directory" | "symlink" | "device" | "other";
  readonly mode: number;
  /** Unpacked. */
  readonly sizeBytes: number;
  readonly target?: string;
  /** The squashfs inside the archive that holds it; absent for the archive's own. */
  readonly inside?: string;
}

/** One of the archives that lie one after the other in a file. */
interface ListedPart {
  readonly compression: Compression | "none";
  readonly packedBytes: number;
  readonly unpackedBytes: number;
}

/** What an initramfs file holds. */
export interface ListedArchive {
  readonly archive: string;
  readonly sizeBytes: number;
  readonly parts: readonly ListedPart[];
  readonly files: readonly ListedFile[];
}

/** Archives in a directory, by name, or the file itself. */
export async function findArchives(path: string): Promise<readonly string[]> {
  const facts = await stat(path).catch((cause: unknown) => {
    throw new MusterError({ code: "argument-invalid", what: `${path} cannot be read`, cause });
  });
  if (!facts.isDirectory()) return [path];
  const found = (await readdir(path)).filter((name) => /\.(cpio|img|initramfs)$|\.cpio\./.test(name)).sort();
  if (found.length > 0) return found.map((name) => `${path}/${name}`);
  throw new MusterError({
    code: "argument-invalid",
    what: `${path} has no initramfs archive (*.cpio, *.cpio.zst, *.img, *.initramfs)`,
    fix: "name the file, or build the archives with `muster-initramfs base` and `muster-initramfs modules`",
  });
}

/**
 * Reads an initramfs: cpio archives, plain or compressed, one after the other; a squashfs among the files is
 * listed too.
 */
export async function listArchive(path: string, signal: AbortSignal): Promise<ListedArchive> {
  const bytes = await readFile(path);
  const scratch = await mkdtemp(`${tmpdir()}/muster-list-`);
  try {
    const parts: ListedPart[] = [];
    const files: ListedFile[] = [];
    for (let at = 0; at < bytes.length; ) {
      const rest = bytes.subarray(at);
      const compression = detectCompression(rest);
      const { content, usedBytes } =
        compression === undefined
          ? { content: rest, usedBytes: undefined }
          : await decompressArchive(rest, compression, scratch, signal);
      let unpacked = 0;
      do {
        const { members, end } = readCpio(content, unpacked);
        for (const member of members) files.push(...(await listMember(member, scratch, signal)));
        unpacked = end;
      } while (usedBytes !== undefined && unpacked < content.length);
      const packed = usedBytes ?? unpacked;
      parts.push({ compression: compression ?? "none", packedBytes: packed, unpackedBytes: unpacked });
      at += packed;
      while (bytes[at] === 0) at++;
    }
    return { archive: path, sizeBytes: bytes.length, parts, files };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

type Member = ReturnType<typeof readCpio>["members"][number];

async function listMember(
  member: Member,
  scratch: string,
  signal: AbortSignal,
): Promise<readonly ListedFile[]> {
  const own: ListedFile = {
    path: member.path,
    kind: member.kind,
    mode: member.mode,
    sizeBytes: member.kind === "file" ? member.content.length : 0,
    ...(member.kind === "symlink" ? { target: Buffer.from(member.content).toString() } : {}),
  };
  if (!member.path.endsWith(".squashfs")) return [own];
  const image = `${scratch}/image.squashfs`;
  await writeFile(image, member.content);
  const { stdout } = await runCommand({ program: "unsquashfs", args: ["-lln", image] }, signal);
  return [own, ...parseUnsquashfs(stdout, member.path)];
}

const KINDS: Readonly<Record<string, ListedFile["kind"]>> = {
  "-": "file",
  d: "directory",
  l: "symlink",
  c: "device",
  b: "device",
};

/** Reads `unsquashfs -lln`: "-rwxr-xr-x 0/0   31688 1970-01-01 00:00 squashfs-root/usr/lib/x -> target". */
function parseUnsquashfs(output: string, inside: string): readonly ListedFile[] {
  const files: ListedFile[] = [];
  for (const line of output.split("\n")) {
    const [, type, bits, size, rest] =
      /^([-dlcbps])([-rwxsStT]{9}) \d+\/\d+\s+(\d+(?:, *\d+)?) \d{4}-\d\d-\d\d \d\d:\d\d squashfs-root\/(.*)$/.exec(
        line,
      ) ?? [];
    if (type === undefined || bits === undefined || rest === undefined) continue;
    const [path, target] = type === "l" ? rest.split(" -> ") : [rest];
    files.push({
      path: path ?? rest,
      kind: KINDS[type] ?? "other",
      mode: modeOf(bits),
      sizeBytes: type === "-" ? Number(size) : 0,
      ...(target === undefined ? {} : { target }),
      inside,
    });
  }
  return files;
}

function modeOf(bits: string): number {
  let mode = 0;
  for (let index = 0; index < bits.length; index++) {
    const letter = bits.charAt(index);
    if (letter !== "-" && letter !== "S" && letter !== "T") mode |= 1 << (8 - index);
    if (/[sStT]/.test(letter)) mode |= index === 2 ? 0o4000 : index === 5 ? 0o2000 : 0o1000;
  }
  return mode;
}
