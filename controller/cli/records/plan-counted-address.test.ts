import { expect, it } from "vitest";

import { countAddress } from "./plan-counted-address.ts";

it.each([
  ["10.77.0.254", 0, "10.77.0.254"],
  ["10.77.0.254", 3, "10.77.1.1"],
  ["255.255.255.255", 1, undefined],
  ["10.77.0", 0, undefined],
  ["fd00::fffe", 0, "fd00::fffe"],
  ["fd00::fffe", 3, "fd00:0:0:0:0:0:1:1"],
  ["1:2:3:4:5:6:7:8", 1, "1:2:3:4:5:6:7:9"],
  ["::ffff:10.0.0.255", 1, "0:0:0:0:0:ffff:a00:100"],
  ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1, undefined],
  ["fe80::1%eno1", 1, undefined],
  ["", 0, undefined],
])("%s and %i more is %s", (first, by, expected) => {
  expect(countAddress(first, by)).toBe(expected);
});
