import type { ListedArchive, ListedFile } from "./list-archive.ts";

/** A listing for people: a line per file with its size, then what each part weighs packed and unpacked. */
export function renderListing(archive: ListedArchive): string {
  const files = archive.files.filter((file) => file.kind !== "directory");
  const width = Math.max(5, ...files.map((file) => String(file.sizeBytes).length));
  const rows = files.map(
    (file) => `${renderMode(file)} ${String(file.sizeBytes).padStart(width)} ${renderPath(file)}`,
  );
  const parts = archive.parts.map(
    (part, index) =>
      `  part ${index + 1}: ${renderSize(part.packedBytes)} (${part.compression}), ${renderSize(part.unpackedBytes)} unpacked`,
  );
  return [
    `${archive.archive}: ${renderSize(archive.sizeBytes)}, ${files.length} files`,
    ...parts,
    ...rows,
    "",
  ].join("\n");
}

/** Bytes with one decimal in the unit that fits: "31.2 MiB". */
export function renderSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const kib = bytes / 1024;
  return kib < 1024 ? `${kib.toFixed(1)} KiB` : `${(kib / 1024).toFixed(1)} MiB`;
}

const LETTERS = { file: "-", directory: "d", symlink: "l", device: "c", other: "?" } as const;

function renderMode(file: ListedFile): string {
  return `${LETTERS[file.kind]}${file.mode.toString(8).padStart(4, "0")}`;
}

function renderPath(file: ListedFile): string {
  const path = file.inside === undefined ? file.path : `${file.inside}:${file.path}`;
  return file.target === undefined ? path : `${path} -> ${file.target}`;
}
