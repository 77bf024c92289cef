import { expect, test } from "vitest";

import { makeClaimCode, readClaimCode } from "./claim-codes.ts";
import { parseSourceAddress } from "./parse-source-address.ts";

test("claim codes are told apart at a glance and read back as people type them", () => {
  const codes = Array.from({ length: 500 }, makeClaimCode);
  expect(new Set(codes).size).toBe(500);
  expect(codes.filter((code) => !/^[2-9A-HJKMNP-TV-Z]{4}-[2-9A-HJKMNP-TV-Z]{4}$/.test(code))).toEqual([]);
  expect(codes.filter((code) => readClaimCode(code) !== code)).toEqual([]);
  expect([" k7qm-2xhd ", "K7QM2XHD", "K7QM-2XH0", "K7QM", ""].map(readClaimCode)).toEqual([
    "K7QM-2XHD",
    "K7QM-2XHD",
    undefined,
    undefined,
    undefined,
  ]);
});

test.each([
  ["::ffff:10.77.0.5", "10.77.0.5"],
  ["10.77.0.5", "10.77.0.5"],
  ["fe80::1%eth0", "fe80::1"],
  ["FD77::5", "fd77::5"],
  ["::ffff:nonsense", "::ffff:nonsense"],
  [undefined, ""],
])("source address %s is %s", (text, expected) => {
  expect(parseSourceAddress(text)).toBe(expected);
});
