import { describe, expect, it } from "vitest";

import { parseMacAddress, readMacAddress } from "./mac-address.ts";

describe("readMacAddress", () => {
  it.each([
    ["52:54:00:AB:cd:0f", "52:54:00:ab:cd:0f"],
    ["52-54-00-ab-cd-0f", "52:54:00:ab:cd:0f"],
    ["01-52-54-00-ab-cd-0f", "52:54:00:ab:cd:0f"],
    ["5254.00ab.cd0f", "52:54:00:ab:cd:0f"],
    ["525400abcd0f", "52:54:00:ab:cd:0f"],
    [" 52:54:00:ab:cd:0f\n", "52:54:00:ab:cd:0f"],
  ])("reads %j", (text, mac) => {
    expect(readMacAddress(text)).toBe(mac);
  });

  it.each([
    "",
    "52:54:00:ab:cd",
    "52:54:00:ab:cd:0f:11",
    "52:54-00:ab:cd:0f",
    "gg:54:00:ab:cd:0f",
    "localhost",
  ])("takes %j for no address", (text) => {
    expect(readMacAddress(text)).toBeUndefined();
  });

  it.each(["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01"])(
    "knows that no interface has %s",
    (text) => {
      expect(readMacAddress(text)).toBeUndefined();
    },
  );
});

describe("parseMacAddress", () => {
  it("says what it was given and what it wants", () => {
    expect(() => parseMacAddress("eth0")).toThrow(
      expect.objectContaining({
        code: "argument-invalid",
        message: '"eth0" is not the MAC address of an interface',
        fix: "write six bytes in hex, for example 52:54:00:12:34:56",
      }),
    );
  });
});
