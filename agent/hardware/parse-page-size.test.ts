import { expect, it } from "vitest";

import { parsePageSize } from "./parse-page-size.ts";

/** Keys and values as the kernel writes them: AT_HWCAP, AT_PAGESZ, AT_NULL. */
function auxv(...pairs: readonly (readonly [key: bigint, value: bigint])[]): Buffer {
  return Buffer.concat(pairs.flat().map((value) => Buffer.from(BigUint64Array.of(value).buffer)));
}

it("the page size is the value of key 6, wherever it stands", () => {
  expect(parsePageSize(auxv([16n, 0xbfebfbffn], [6n, 65_536n], [0n, 0n]))).toBe(65_536);
});

it("is taken for 4096 where nothing tells it", () => {
  expect(parsePageSize(undefined)).toBe(4096);
  expect(parsePageSize(auxv([16n, 6n], [0n, 0n]))).toBe(4096);
});
