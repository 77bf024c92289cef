import { generateKeyPairSync } from "node:crypto";

import { expect, test } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";

import { makeCertificateRequest } from "./make-certificate-request.ts";

test("openssl accepts the request, its signature and its name", async () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = "0f0c7a2e-6d4b-4b61-9a57-3d3ad0c1b7aa";
  const result = await runCommand({
    program: "openssl",
    args: ["req", "-inform", "DER", "-verify", "-noout", "-subject"],
    input: makeCertificateRequest(privateKey, name),
  });
  expect(result.stdout.trim()).toBe(`subject=CN = ${name}`);
  expect(result.stderr).toContain("verify OK");
});

test("a name longer than 127 bytes is still well formed", async () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const result = await runCommand({
    program: "openssl",
    args: ["asn1parse", "-inform", "DER"],
    input: makeCertificateRequest(privateKey, "n".repeat(300)),
  });
  expect(result.stdout).toContain(`:${"n".repeat(300)}`);
});
