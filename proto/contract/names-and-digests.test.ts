import { describe, expect, it } from "vitest";

import { digestHex, digestOfHex, parseDigest, shortDigest } from "./digest.ts";
import { parseNodeName } from "./node-name.ts";

describe("parseNodeName", () => {
  it.each(["c001", "login", "gpu-a100-07", "a".repeat(63), "0x"])("takes %s", (name) => {
    expect(parseNodeName(name)).toBe(name);
  });

  it.each(["", "C001", "c_1", "-c1", "c1-", "c1.cluster", "10", "a".repeat(64), "c1\n", "ü1"])(
    "refuses %j",
    (name) => {
      expect(() => parseNodeName(name)).toThrow(expect.objectContaining({ code: "name-invalid" }));
    },
  );
});

describe("parseDigest", () => {
  const HEX = "0123456789abcdef".repeat(4);

  it("takes what it gives", () => {
    const digest = digestOfHex(HEX);
    expect([digest, digestHex(digest), shortDigest(digest)]).toEqual([`sha256:${HEX}`, HEX, "0123456789ab"]);
  });

  it.each([
    "",
    HEX,
    `sha256:${HEX}0`,
    `sha256:${HEX.toUpperCase()}`,
    `sha512:${HEX}`,
    "sha256:../../etc/passwd",
  ])("refuses %j", (text) => {
    expect(() => parseDigest(text)).toThrow(expect.objectContaining({ code: "argument-invalid" }));
  });
});
