/**
 * One member of an archive. `path` has no leading slash; the directories above it must be members too
 * (see {@link withParents}). Modes are permission bits; owner is always root.
 */
export type CpioEntry =
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly content: Uint8Array }
  | { readonly kind: "directory"; readonly path: string; readonly mode: number }
  | { readonly kind: "symlink"; readonly path: string; readonly target: string }
  | {
      readonly kind: "character-device";
      readonly path: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

const TYPE_BITS = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  "character-device": 0o020000,
} as const;

/** Archives end on a multiple of this, as cpio(1) pads them; the kernel skips zeros between archives. */
const BLOCK_BYTES = 512;

/**
 * A cpio archive in the "newc" format (Linux Documentation/driver-api/early-userspace/buffer-format.rst).
 * Members are sorted, times and owners zero, inode numbers count up: same entries, same bytes.
 * Throws when a path is absolute, holds "..", or occurs twice, which would be a bug of the caller.
 */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const parts: Uint8Array[] = [];
  sorted.forEach((entry, index) => {
    if (entry.path === sorted[index - 1]?.path) throw new Error(`${entry.path} occurs twice in an archive`);
    if (entry.path === "" || entry.path.split("/").some((part) => part === "" || part === "..")) {
      throw new Error(`${JSON.stringify(entry.path)} is not a path for an archive`);
    }
    parts.push(...member(entry, index + 1));
  });
  parts.push(...record("TRAILER!!!", new Uint8Array(), { inode: 0, mode: 0, links: 1 }));
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  parts.push(new Uint8Array((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES));
  return Buffer.concat(parts);
}

/** The entries and every directory above them that is not among them, with mode 0755. */
export function withParents(entries: readonly CpioEntry[]): readonly CpioEntry[] {
  const known = new Set(entries.map((entry) => entry.path));
  const parents: CpioEntry[] = [];
  for (const entry of entries) {
    const parts = entry.path.split("/");
    for (let depth = 1; depth < parts.length; depth++) {
      const path = parts.slice(0, depth).join("/");
      if (known.has(path)) continue;
      known.add(path);
      parents.push({ kind: "directory", path, mode: 0o755 });
    }
  }
  return [...parents, ...entries];
}

function member(entry: CpioEntry, inode: number): readonly Uint8Array[] {
  switch (entry.kind) {
    case "file":
      return record(entry.path, entry.content, { inode, mode: TYPE_BITS.file | entry.mode, links: 1 });
    case "directory":
      return record(entry.path, new Uint8Array(), {
        inode,
        mode: TYPE_BITS.directory | entry.mode,
        links: 2,
      });
    case "symlink":
      return record(entry.path, Buffer.from(entry.target), {
        inode,
        mode: TYPE_BITS.symlink | 0o777,
        links: 1,
      });
    case "character-device":
      return record(entry.path, new Uint8Array(), {
        inode,
        mode: TYPE_BITS["character-device"] | entry.mode,
        links: 1,
        major: entry.major,
        minor: entry.minor,
      });
  }
}

interface Header {
  readonly inode: number;
  readonly mode: number;
  readonly links: number;
  readonly major?: number;
  readonly minor?: number;
}

function record(path: string, content: Uint8Array, header: Header): readonly Uint8Array[] {
  const name = Buffer.from(`${path}\0`);
  const fields = [
    header.inode,
    header.mode,
    0, // uid
    0, // gid
    header.links,
    0, // mtime
    content.length,
    0, // device of the file system, major
    0, // and minor
    header.major ?? 0,
    header.minor ?? 0,
    name.length,
    0, // checksum, unused in this variant
  ];
  const head = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
  return [head, name, padding(head.length + name.length), content, padding(content.length)];
}

function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}
