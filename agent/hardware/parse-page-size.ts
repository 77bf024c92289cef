/** AT_PAGESZ of getauxval(3): the key of the page size in the auxiliary vector. */
const AT_PAGESZ = 6n;

/**
 * Bytes of a memory page, from /proc/self/auxv (proc(5)): pairs of 64-bit key and value. 4096 where there is none, as in
 * copies of another machine's files: only arm64 and POWER have others.
 */
export function parsePageSize(auxv: Buffer | undefined): number {
  for (let offset = 0; auxv !== undefined && offset + 16 <= auxv.length; offset += 16) {
    if (auxv.readBigUInt64LE(offset) === AT_PAGESZ) return Number(auxv.readBigUInt64LE(offset + 8));
  }
  return 4096;
}
