import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";
import { renderOpensshKey } from "./render-openssh-key.ts";

const curve = { namedCurve: "P-256" };
/** An ECDSA key whose secret begins with the byte: leading zeros and sign bits are where mpint goes wrong. */
function ecdsaWith(fits: (first: number) => boolean): KeyObject {
  for (;;) {
    const { privateKey } = generateKeyPairSync("ec", curve);
    const secret = Buffer.from(privateKey.export({ format: "jwk" }).d ?? "", "base64url");
    if (fits(secret[0] ?? 0)) return privateKey;
  }
}

describe("renderOpensshKey", () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "muster-key-"));
  });
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  it.each([
    ["Ed25519", () => generateKeyPairSync("ed25519").privateKey],
    ["ECDSA with a high secret", () => ecdsaWith((first) => first >= 0x80)],
    ["ECDSA with a low secret", () => ecdsaWith((first) => first > 0 && first < 0x80)],
    ["ECDSA with a leading zero", () => ecdsaWith((first) => first === 0)],
  ])("writes %s keys that ssh-keygen reads, with the same public key", async (kind, make) => {
    const { privateKey, publicKey } = renderOpensshKey(make(), "root@c1");
    const path = join(directory, kind.replaceAll(" ", "-"));
    writeFileSync(path, privateKey, { mode: 0o600 });
    const { stdout } = await runCommand({ program: "ssh-keygen", args: ["-y", "-f", path] });
    expect(stdout.trim()).toBe(publicKey.trim());
  });

  it("gives the same text for the same key", () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    const copy = createPrivateKey(privateKey.export({ format: "pem", type: "pkcs8" }));
    expect(renderOpensshKey(copy, "x")).toEqual(renderOpensshKey(privateKey, "x"));
  });

  it("refuses keys of other kinds", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
    expect(() => renderOpensshKey(privateKey, "x")).toThrow("no host key of curve P-384");
  });
});
