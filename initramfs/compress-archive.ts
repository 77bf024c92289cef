import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { constants, createGunzip, gzip, zstdCompress, zstdDecompress } from "node:zlib";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommand } from "#proto/host/run-command.ts";

/** Compressions a kernel may be able to unpack an initramfs with (CONFIG_RD_*), best first. */
export const COMPRESSIONS = ["zstd", "xz", "gzip"] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** Reads a compression from a command line; throws `argument-invalid`. */
export function parseCompression(text: string): Compression {
  const found = COMPRESSIONS.find((name) => name === text);
  if (found !== undefined) return found;
  throw new MusterError({
    code: "argument-invalid",
    what: `"${text}" is not a compression`,
    fix: `one of ${COMPRESSIONS.join(", ")}`,
  });
}

/**
 * How hard zstd tries. `release`: once per release, read by every node of every site. `import`: while an operator
 * waits. Of 25 MB of modules, 19 makes 4.9 MB in 11 s, 12 makes 5.5 MB in 1 s. No level here has a window that
 * is large beside an initramfs.
 */
const ZSTD_LEVELS = { release: 19, import: 12 } as const;

/**
 * Compresses so that the kernel can read it and so that the same bytes give the same bytes.
 * `options.scratch` is a directory for temporary files (xz is an external program).
 */
export async function compressArchive(
  content: Buffer,
  compression: Compression,
  options: { readonly effort: keyof typeof ZSTD_LEVELS; readonly scratch: string },
  signal: AbortSignal,
): Promise<Buffer> {
  switch (compression) {
    case "zstd":
      return promisify(zstdCompress)(content, {
        params: {
          [constants.ZSTD_c_compressionLevel]: ZSTD_LEVELS[options.effort],
          [constants.ZSTD_c_checksumFlag]: 1,
        },
      });
    case "gzip":
      return promisify(gzip)(content, { level: 9 });
    case "xz": {
      const path = `${options.scratch}/archive`;
      await writeFile(path, content);
      // The kernel's decoder knows only CRC32 (Documentation/staging/xz.rst). One thread: one block, always.
      const args = ["--keep", "--force", "--threads=1", "--check=crc32", "--lzma2=preset=6,dict=8MiB", path];
      await runCommand({ program: "xz", args, deadlineMs: 600_000 }, signal);
      return readFile(`${path}.xz`);
    }
  }
}

const MAGIC = {
  zstd: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]),
  xz: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]),
  gzip: Buffer.from([0x1f, 0x8b]),
} as const satisfies Record<Compression, Buffer>;

/** What the bytes at the start are compressed with; undefined when with none of ours. */
export function detectCompression(content: Buffer): Compression | undefined {
  return COMPRESSIONS.find((name) => content.subarray(0, MAGIC[name].length).equals(MAGIC[name]));
}

/** What one compressed archive holds, and how many of the bytes given it took. */
export interface Decompressed {
  readonly content: Buffer;
  readonly usedBytes: number;
}

/**
 * The reverse of {@link compressArchive} for the archive at the start of `bytes`; others may follow. Only
 * xz takes all that is there: streams of xz that follow each other come out as one.
 */
export async function decompressArchive(
  bytes: Buffer,
  compression: Compression,
  scratch: string,
  signal: AbortSignal,
): Promise<Decompressed> {
  switch (compression) {
    case "zstd": {
      const usedBytes = zstdFrameBytes(bytes);
      return { content: await promisify(zstdDecompress)(bytes.subarray(0, usedBytes)), usedBytes };
    }
    case "gzip": {
      const stream = createGunzip();
      stream.end(bytes);
      const chunks: Buffer[] = [];
      for await (const chunk of stream) chunks.push(chunk as Buffer);
      return { content: Buffer.concat(chunks), usedBytes: stream.bytesWritten };
    }
    case "xz": {
      const path = `${scratch}/compressed`;
      await writeFile(`${path}.xz`, bytes);
      await runCommand(
        { program: "xz", args: ["--decompress", "--force", `${path}.xz`], deadlineMs: 600_000 },
        signal,
      );
      return { content: await readFile(path), usedBytes: bytes.length };
    }
  }
}

/**
 * Length of the zstd frame at the start: header, blocks, checksum (RFC 8878 section 3.1.1). Throws
 * `argument-invalid` when the bytes end within it.
 */
function zstdFrameBytes(bytes: Buffer): number {
  const descriptor = bytes[4] ?? 0;
  const singleSegment = (descriptor >> 5) & 1;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [singleSegment, 2, 4, 8][descriptor >> 6] ?? 0;
  let at = 5 + (1 - singleSegment) + dictionaryBytes + sizeBytes;
  for (let last = false; !last; ) {
    if (at + 3 > bytes.length) throw truncated();
    const header = bytes.readUIntLE(at, 3);
    last = (header & 1) === 1;
    const runLength = ((header >> 1) & 3) === 1;
    at += 3 + (runLength ? 1 : header >> 3);
  }
  at += (descriptor & 4) === 0 ? 0 : 4;
  if (at > bytes.length) throw truncated();
  return at;
}

function truncated(): MusterError {
  return new MusterError({
    code: "argument-invalid",
    what: "the archive ends in the middle of a zstd frame",
    fix: "copy or build it again",
  });
}
