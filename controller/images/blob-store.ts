import type { Digest } from "#proto/contract/digest.ts";
import type { BlobReference } from "../inventory/inventory.ts";

/**
 * Content-addressed files: <state>/blobs/sha256/ab/abcdef... A blob that is listed is whole: content is
 * hashed while it is written to a temporary file and renamed into place when its digest is known.
 */
export interface BlobStore {
  /**
   * Stores a stream. With `expected`, content of another digest is refused (`blob-corrupt`) and nothing is kept.
   * Storing what is there already is cheap for the disk and harmless. `disk-full` leaves no partial file.
   */
  put(content: AsyncIterable<Uint8Array>, expected?: Digest): Promise<BlobReference>;
  /**
   * Gives a blob a new grace period without reading it; true when it was verified before by this process and has
   * not changed since. Otherwise nothing is done: `put` it.
   */
  renew(digest: Digest): boolean;
  /** Where the file of a blob is or would be. */
  pathOf(digest: Digest): string;
  /** Undefined when the store does not have it. */
  sizeOf(digest: Digest): Promise<number | undefined>;
  /** Reads the whole blob and compares. A corrupt blob is moved to <state>/blobs/corrupt/ so that nothing serves it again. */
  verify(digest: Digest): Promise<"ok" | "missing" | "corrupt">;
  /**
   * Path of a blob that is known good: verified now, or verified before by this process with size, mtime and
   * inode unchanged since. Throws `blob-missing` or `blob-corrupt`.
   */
  verifiedPath(digest: Digest): Promise<string>;
  list(): Promise<readonly BlobReference[]>;
  /** Removes blobs that are not referenced and older than the grace period. */
  collectGarbage(
    referenced: ReadonlySet<Digest>,
    graceMs: number,
    now: Date,
  ): Promise<{ readonly removed: number; readonly freedBytes: number }>;
}
