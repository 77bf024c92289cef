import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { type BootArguments, parseBootArguments, renderBootArguments } from "./boot-arguments.ts";
import { parseMacAddress } from "./mac-address.ts";

const FINGERPRINT = "ab".repeat(32);
const MINIMAL = `muster.controllers=10.77.0.1:9881 muster.ca=${FINGERPRINT}`;

describe("parseBootArguments", () => {
  it("reads back whatever renderBootArguments wrote, among words of the kernel", () => {
    const hex = fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .map((bytes) => Buffer.from(bytes).toString("hex"));
    const word = fc.string({
      unit: fc.constantFrom("a", "b", "X", "Z", "0", "9", "_", "-"),
      minLength: 1,
      maxLength: 40,
    });
    const args: fc.Arbitrary<BootArguments> = fc.record(
      {
        controllers: fc.array(fc.constantFrom("10.77.0.1:9881", "head:9881", "10.0.0.2:1"), { minLength: 1 }),
        authorityFingerprint: hex,
        token: word,
        kernelDigest: hex.map((digits) => `sha256:${digits}`),
        bootMac: fc.constantFrom(parseMacAddress("52:54:00:12:34:56"), parseMacAddress("02:00:00:00:00:01")),
        time: fc.nat(),
        giveUpAfterSeconds: fc.nat({ max: 99_999 }),
        rebootAfterSeconds: fc.nat({ max: 99_999 }),
        rescue: fc.boolean(),
      },
      {
        requiredKeys: [
          "controllers",
          "authorityFingerprint",
          "giveUpAfterSeconds",
          "rebootAfterSeconds",
          "rescue",
        ],
      },
    );
    fc.assert(
      fc.property(args, (given) => {
        const cmdline = `BOOT_IMAGE=vmlinuz quiet ${renderBootArguments(given).join(" ")} console=ttyS0\n`;
        expect(parseBootArguments(cmdline)).toEqual(given);
      }),
    );
  });

  it("lets the last of a word given twice count, as the kernel does", () => {
    expect(parseBootArguments(`muster.token=site ${MINIMAL} muster.token=ours`).token).toBe("ours");
  });

  it("takes a fingerprint as openssl prints it", () => {
    const printed = (FINGERPRINT.toUpperCase().match(/../g) ?? []).join(":");
    expect(parseBootArguments(`muster.controllers=a:1 muster.ca=${printed}`).authorityFingerprint).toBe(
      FINGERPRINT,
    );
  });

  it("gives up after ten minutes and restarts after half a minute unless told otherwise", () => {
    expect(parseBootArguments(MINIMAL)).toEqual({
      controllers: ["10.77.0.1:9881"],
      authorityFingerprint: FINGERPRINT,
      giveUpAfterSeconds: 600,
      rebootAfterSeconds: 30,
      rescue: false,
    });
  });

  it.each([
    ["no controller", `muster.ca=${FINGERPRINT}`, "muster.controllers is missing"],
    ["an empty controller", `muster.controllers=, muster.ca=${FINGERPRINT}`, "muster.controllers is missing"],
    ["no fingerprint", "muster.controllers=a:1", "muster.ca is not a SHA-256 fingerprint"],
    [
      "a short fingerprint",
      "muster.controllers=a:1 muster.ca=abcd",
      "muster.ca is not a SHA-256 fingerprint",
    ],
    ["nothing at all", "", "muster.controllers is missing"],
  ])("refuses %s", (_title, cmdline, why) => {
    expect(() => parseBootArguments(cmdline)).toThrow(
      expect.objectContaining({ code: "boot-arguments-invalid", message: `kernel command line: ${why}` }),
    );
  });
});
