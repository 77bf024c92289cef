import { expect, test } from "vitest";

import { parseRoute } from "./parse-route.ts";

test.each([
  "10.2.0.0/16 via 10.1.0.1",
  "10.2.0.1 dev eno1",
  "default via fe80::1 metric 100",
  "unreachable 10.3.0.0/16",
  "fd00::/64 via fd01::1 dev eno1.7 src fd01::2 mtu 1400 onlink",
  "default via 10.1.0.1 table 100 proto static scope link advmss 1200",
])("%s is a route", (text) => {
  expect(parseRoute(`  ${text.replaceAll(" ", "  ")} `)).toEqual({ value: text });
});

test.each([
  ["", "its destination is missing"],
  ["blackhole", "its destination is missing"],
  ["10.2.0.0/33 via 10.1.0.1", '10.2.0.0/33 is neither "default" nor address/length'],
  ["nowhere via 10.1.0.1", 'nowhere is neither "default" nor address/length'],
  ["10.2.0.0/16 via", "the value of via is missing"],
  ["10.2.0.0/16 via nowhere", "nowhere is not an IP address"],
  ["10.2.0.0/16 via fd00::1", "it mixes IPv4 and IPv6"],
  ["default via fd00::1 src 10.0.0.1", "it mixes IPv4 and IPv6"],
  ["10.2.0.0/16 via 10.1.0.1 via 10.1.0.2", "via is given twice"],
  ["10.2.0.0/16 metric many", "many is not a value of metric"],
  ["10.2.0.0/16 constructor x", "constructor is no word of it"],
])("%j is no route: %s", (text, why) => {
  expect(parseRoute(text)).toEqual({
    what: `${JSON.stringify(text)} is not a route: ${why}`,
    fix: "write it as in ip-route(8): 10.2.0.0/16 via 10.1.0.1",
  });
});

test("a route is not longer than 256 characters", () => {
  expect(parseRoute(`10.2.0.0/16 metric ${"0".repeat(300)}`)).toHaveProperty("what");
});
