import { MusterError } from "#proto/contract/muster-error.ts";

/** A member of an archive as read back. `content` is a view into the archive: file bytes or a link's target. */
export interface CpioMember {
  readonly path: string;
  readonly kind: "file" | "directory" | "symlink" | "device" | "other";
  readonly mode: number;
  readonly content: Uint8Array;
}

const HEADER_BYTES = 110;

/**
 * Reads one "newc" archive that starts at `offset`. Returns its members and the offset after its trailer
 * and the zeros that follow. Throws `argument-invalid` when the bytes are no such archive or end early.
 */
export function readCpio(
  bytes: Uint8Array,
  offset: number,
): { readonly members: readonly CpioMember[]; readonly end: number } {
  const members: CpioMember[] = [];
  let at = offset;
  for (;;) {
    const head = Buffer.from(bytes.subarray(at, at + HEADER_BYTES)).toString("latin1");
    if (!/^07070[12][0-9A-Fa-f]{104}$/.test(head)) throw damaged(at);
    const field = (index: number): number => Number.parseInt(head.slice(6 + index * 8, 14 + index * 8), 16);
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    const contentAt = align(at + HEADER_BYTES + nameSize - offset) + offset;
    const contentEnd = contentAt + size;
    if (nameSize === 0 || contentEnd > bytes.length) throw damaged(at);
    const path = Buffer.from(bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + nameSize - 1)).toString();
    at = align(contentEnd - offset) + offset;
    if (path === "TRAILER!!!") break;
    members.push({
      path,
      kind: kindOf(mode),
      mode: mode & 0o7777,
      content: bytes.subarray(contentAt, contentEnd),
    });
  }
  while (at < bytes.length && bytes[at] === 0) at++;
  return { members, end: Math.min(at, bytes.length) };
}

function align(length: number): number {
  return Math.ceil(length / 4) * 4;
}

function kindOf(mode: number): CpioMember["kind"] {
  switch (mode & 0o170000) {
    case 0o100000:
      return "file";
    case 0o040000:
      return "directory";
    case 0o120000:
      return "symlink";
    case 0o020000:
    case 0o060000:
      return "device";
    default:
      return "other";
  }
}

function damaged(at: number): MusterError {
  return new MusterError({
    code: "argument-invalid",
    what: `not a cpio archive (newc) at byte ${at}`,
    fix: "name an initramfs archive: cpio, or cpio compressed with zstd, xz or gzip",
  });
}
