import { createHash, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, stat, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";
import { makeCertificateRequest } from "../../test/fixtures/make-certificate-request.ts";
import { openCertificateAuthority } from "./certificate-authority.ts";
import { parseNodeCertificate } from "./parse-node-certificate.ts";

const NOW = new Date("2026-11-20T12:00:00Z");
const now = (): Date => NOW;

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-ca-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("openCertificateAuthority", () => {
  test("the first start makes an authority, the next one loads the same", async () => {
    const first = await openCertificateAuthority(directory, now);
    const again = await openCertificateAuthority(directory, now);
    expect(again.fingerprint).toBe(first.fingerprint);
    expect(first.fingerprint).toBe(createHash("sha256").update(first.certificateDer).digest("hex"));
    expect((await stat(join(directory, "authority.key"))).mode & 0o777).toBe(0o600);
    const certificate = new X509Certificate(first.certificateDer);
    expect({ ca: certificate.ca, self: certificate.checkIssued(certificate) }).toEqual({
      ca: true,
      self: true,
    });
    expect(certificate.validToDate.getTime() - NOW.getTime()).toBeGreaterThan(10 * 365 * 24 * 3600 * 1000);
  });

  test("a crash after the key was written ends in a certificate for that key", async () => {
    await openCertificateAuthority(directory, now);
    await unlink(join(directory, "authority.crt"));
    const key = await readFile(join(directory, "authority.key"), "utf8");
    const authority = await openCertificateAuthority(directory, now);
    expect(await readFile(join(directory, "authority.key"), "utf8")).toBe(key);
    const { certPem } = await authority.issueServer({ names: ["ctl"], addresses: [] });
    expect(new X509Certificate(certPem).verify(new X509Certificate(authority.certificateDer).publicKey)).toBe(
      true,
    );
  });

  test.each([
    ["a lost key", async () => unlink(join(directory, "authority.key"))],
    [
      "a broken key",
      async () =>
        writeFile(
          join(directory, "authority.key"),
          "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
        ),
    ],
    ["an empty key", async () => writeFile(join(directory, "authority.key"), "")],
    ["a broken certificate", async () => writeFile(join(directory, "authority.crt"), "no")],
    [
      "a key of another authority",
      async () => {
        const other = await mkdtemp(join(tmpdir(), "muster-ca-"));
        await openCertificateAuthority(other, now);
        await writeFile(join(directory, "authority.key"), await readFile(join(other, "authority.key")));
        await rm(other, { recursive: true });
      },
    ],
  ])("%s is an error with a remedy, never a new authority", async (_what, damage) => {
    await openCertificateAuthority(directory, now);
    await damage();
    await expect(openCertificateAuthority(directory, now)).rejects.toMatchObject({
      code: "authority-unusable",
      fix: expect.stringContaining("restore") as unknown,
    });
  });

  test("an expired authority is refused", async () => {
    await openCertificateAuthority(directory, now);
    await expect(
      openCertificateAuthority(directory, () => new Date("2050-01-01T00:00:00Z")),
    ).rejects.toMatchObject({ code: "authority-unusable" });
  });
});

describe("issueServer", () => {
  test("names and addresses are alternative names, for 397 days from yesterday, for servers only", async () => {
    const authority = await openCertificateAuthority(directory, now);
    const { certPem } = await authority.issueServer({
      names: ["ctl.cluster", "192.0.2.9"],
      addresses: ["10.77.0.1"],
    });
    const certificate = new X509Certificate(certPem);
    expect({
      names: certificate.subjectAltName,
      use: certificate.keyUsage,
      from: certificate.validFromDate,
      to: certificate.validToDate,
      ca: certificate.ca,
    }).toEqual({
      names: "IP Address:10.77.0.1, DNS:ctl.cluster, IP Address:192.0.2.9",
      use: ["1.3.6.1.5.5.7.3.1"],
      from: new Date("2026-11-19T12:00:00Z"),
      to: new Date("2027-12-21T12:00:00Z"),
      ca: false,
    });
  });
});

describe("issueNode", () => {
  const node = parseNodeName("c001");

  test("the certificate names the node the controller decided on and ignores every name in the request", async () => {
    const authority = await openCertificateAuthority(directory, now);
    const { csrDer } = await makeCertificateRequest();
    const issued = await authority.issueNode({ csrDer, node, bootId: "b-1", lifetimeSeconds: 3600 });
    const certificate = new X509Certificate(issued.certificateDer);
    expect({
      subject: certificate.subject,
      names: certificate.subjectAltName,
      use: certificate.keyUsage,
      to: certificate.validToDate,
      serial: certificate.serialNumber.toLowerCase(),
      signed: certificate.verify(new X509Certificate(authority.certificateDer).publicKey),
      keyHash: createHash("sha256")
        .update(certificate.publicKey.export({ type: "spki", format: "der" }))
        .digest("hex"),
    }).toEqual({
      subject: "CN=c001",
      names: "URI:muster://node/c001/boot/b-1",
      use: ["1.3.6.1.5.5.7.3.2"],
      to: new Date("2026-11-20T13:00:00Z"),
      serial: issued.serial,
      signed: true,
      keyHash: issued.keyHash,
    });
    expect(parseNodeCertificate(issued.certificateDer)).toEqual({ node: "c001", bootId: "b-1" });
    expect((await authority.readRequest(csrDer)).keyHash).toBe(issued.keyHash);
  });

  test("a request that is malformed, of another curve or signed by another key is refused", async () => {
    const authority = await openCertificateAuthority(directory, now);
    const good = (await makeCertificateRequest()).csrDer;
    const forged = Buffer.from(good);
    const last = forged.length - 1;
    forged[last] = (forged[last] ?? 0) ^ 1;
    const wrongCurve = (await makeCertificateRequest({ name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" }))
      .csrDer;
    for (const csrDer of [forged, wrongCurve, Buffer.alloc(0), Buffer.from("hello"), good.subarray(0, 60)]) {
      await expect(
        authority.issueNode({ csrDer, node, bootId: "b", lifetimeSeconds: 1 }),
      ).rejects.toMatchObject({ code: "request-invalid" });
    }
  });
});

describe("parseNodeCertificate", () => {
  test("anything that is not exactly one node identity is nobody", async () => {
    const authority = await openCertificateAuthority(directory, now);
    const { certPem } = await authority.issueServer({ names: ["c001"], addresses: [] });
    expect(parseNodeCertificate(new X509Certificate(certPem).raw)).toBeUndefined();
    expect(parseNodeCertificate(authority.certificateDer)).toBeUndefined();
    expect(parseNodeCertificate(Buffer.from("junk"))).toBeUndefined();
    const uri = "URI:muster://node/c001/boot/b";
    expect(parseNodeCertificate({ subject: { CN: "c001" }, subjectaltname: uri })).toEqual({
      node: "c001",
      bootId: "b",
    });
    for (const [CN, subjectaltname] of [
      ["c002", uri],
      [["c001", "c002"], uri],
      ["c001", `${uri}, URI:muster://node/c002/boot/b`],
      ["c001", `${uri}/more`],
      ["123", "URI:muster://node/123/boot/b"],
      ["c001", undefined],
    ] as const) {
      expect(parseNodeCertificate({ subject: { CN }, subjectaltname })).toBeUndefined();
    }
  });
});
