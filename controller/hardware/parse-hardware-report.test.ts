import { createHash } from "node:crypto";

import { expect, test } from "vitest";

import { makeTestReport } from "./make-test-report.ts";
import { parseHardwareReport } from "./parse-hardware-report.ts";

function messageOf(content: unknown): { readonly digest: string; readonly report: Buffer } {
  const report = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
  return { digest: `sha256:${createHash("sha256").update(report).digest("hex")}`, report };
}

function refusal(content: unknown): unknown {
  return expect.objectContaining({
    code: "request-invalid",
    message: expect.stringContaining(`hardware report refused: ${String(content)}`) as string,
  });
}

function parsing(content: unknown): unknown {
  try {
    return parseHardwareReport(messageOf(content));
  } catch (error) {
    return error;
  }
}

test("a report is read as it was sent", () => {
  const message = messageOf(makeTestReport());
  expect(parseHardwareReport(message)).toEqual({ digest: message.digest, report: makeTestReport() });
});

test("what a newer agent says besides is left out, and the digest stays that of the bytes", () => {
  const report = makeTestReport();
  const message = messageOf({ ...report, quantum: { qubits: 7 }, cpu: { ...report.cpu, mood: "good" } });
  expect(parseHardwareReport(message)).toEqual({ digest: message.digest, report });
});

test("texts cannot move the cursor of whoever reads them", () => {
  const report = makeTestReport({ system: { vendor: "Evil\u001b[2J\nInc.", product: "\u202eX1" } });
  expect(parseHardwareReport(messageOf(report)).report.system).toEqual({
    vendor: "Evil [2J Inc.",
    product: "X1",
  });
});

const { slurm } = makeTestReport();

test.each<[string, unknown, string]>([
  ["no JSON", Buffer.from("{"), "it is no JSON in UTF-8"],
  ["no UTF-8", Buffer.from([0x22, 0xff, 0x22]), "it is no JSON in UTF-8"],
  ["more than 1 MiB", Buffer.alloc(1024 * 1024 + 1, " "), "it has 1048577 bytes, more than 1 MiB"],
  ["no object", 7, "it must be object"],
  ["nested beyond reason", Buffer.from("[".repeat(200_000)), "it is no JSON in UTF-8"],
  ["of another schema", { ...makeTestReport(), schema: 2 }, "/schema must be equal to constant"],
  ["with a long text", makeTestReport({ kernel: "x".repeat(257) }), "/kernel must not have more than"],
  ["with a negative size", makeTestReport({ memory: { totalBytes: -1 } }), "/memory/totalBytes must be >= 0"],
  [
    "that would write its own line of gres.conf",
    makeTestReport({
      slurm: { ...slurm, gres: [{ name: "gpu", type: "a\nNodeName=x", count: 1, files: "/dev/nvidia0" }] },
    }),
    "/slurm/gres/0/type must match pattern",
  ],
  [
    "whose device files are more than names",
    makeTestReport({ slurm: { ...slurm, gres: [{ name: "gpu", count: 1, files: "/dev/nvidia0 Count=9" }] } }),
    "/slurm/gres/0/files must match pattern",
  ],
])("a report %s is refused", (_title, content, why) => {
  expect(parsing(content)).toEqual(refusal(why));
});

test("a report that is not what its digest says is refused", () => {
  const { report } = messageOf(makeTestReport());
  expect(() => parseHardwareReport({ digest: messageOf(1).digest, report })).toThrow(
    "hardware report refused: it does not have the digest it came with",
  );
});
