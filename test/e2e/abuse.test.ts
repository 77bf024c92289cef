import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";
import { runCommand } from "#proto/host/run-command.ts";

import { openCertificateAuthority } from "../../controller/identity/certificate-authority.ts";
import { makeCertificateRequest } from "../fixtures/make-certificate-request.ts";
import type { ControllerProcess } from "../lab/controller-process.ts";
import { listProcessesIn } from "../lab/network-namespace.ts";
import { LAB_NETWORK, type Lab } from "../lab/open-lab.ts";
import type { AbuseReport, AbuseTask } from "./abuse/abuse-tools.ts";
import { openCluster } from "./cluster.ts";

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const CANARY = "the canary in a file beside the roots";
const NODE_MAC = "52:54:00:77:07:01";
const DAY_MS = 24 * 3600 * 1000;
/** What musterd and its workers may take of memory, at most, and more than before. */
const MOST_RESIDENT_MIB = 500;
const SEED = 20_261_120;

test("no hostile bytes on any port crash musterd, make it grow, or get a file that is not served", async () => {
  await using cluster = await openCluster();
  const { lab, controller } = cluster;
  await controller.mustMuster(["node", "add", "c001", "--mac", NODE_MAC]);
  const sources = Array.from({ length: 60 }, (_, index) => `10.77.0.${index + 20}`);
  const addresses = sources.map((source) => `address add ${source}/32 dev ${LAB_NETWORK.bridge}\n`).join("");
  const added = await lab.run({ program: "ip", args: ["-batch", "-"], input: addresses });
  expect(added.stderr).toBe("");
  const before = await musterdProcesses(lab);

  const report = await abuse(lab, await planTask(lab, controller, sources));

  expect(report.leaks).toEqual([]);
  expect(report.tokens).toEqual({
    "another MAC": expect.stringMatching(/was issued to another machine/) as string,
    "another address": expect.stringMatching(/was issued to another address/) as string,
    "the node": "accepted",
    "another key": expect.stringMatching(/was used already, by another key/) as string,
    "a guess": expect.stringMatching(/did not issue it/) as string,
  });
  // A boot plan, and what a node with a ticket that is none is told.
  expect(report.tls).toEqual({
    ...{
      "9882 none": "refused",
      "9882 self-signed": "refused",
      "9882 expired": "refused",
      "9882 good": "grpc 0",
    },
    ...{
      "9883 none": "refused",
      "9883 self-signed": "refused",
      "9883 expired": "refused",
      "9883 good": "grpc 7",
    },
  });
  const { http, rest, grpc } = report.answers;
  expect(sum(http)).toBe(10_000);
  expect(sum(rest)).toBe(3000);
  expect(sum(grpc)).toBe(1800);
  expect(Object.keys(http).filter((status) => status.startsWith("5"))).toEqual([]);
  expect(Object.keys(rest).filter((status) => status.startsWith("5"))).toEqual([]);
  // 2, unknown: a handler that threw. 13, internal, is what grpc-js itself says to messages that are none.
  expect(grpc["grpc 2"] ?? 0).toBe(0);

  const after = await musterdProcesses(lab);
  expect([...after.keys()]).toEqual([...before.keys()]);
  for (const [pid, residentMib] of after)
    expect.soft([pid, residentMib < MOST_RESIDENT_MIB]).toEqual([pid, true]);
  expect(controller.log).not.toMatch(/a bug in muster|uncaught|unhandled|\[musterd ended/i);
  // c001 may be gone: whoever has the socket may delete it.
  await controller.mustMuster(["node", "add", "c002", "--mac", "52:54:00:77:07:02"]);
  expect(await controller.mustMuster(["node", "list", "-o", "json"])).toContain("c002");
});

async function planTask(
  lab: Lab,
  controller: ControllerProcess,
  sources: readonly string[],
): Promise<AbuseTask> {
  const { stateDirectory } = controller;
  const canaries = [lab.directory, stateDirectory, dirname(controller.socketPath)].map((at) =>
    join(at, "canary"),
  );
  for (const path of canaries) await writeFile(path, CANARY, { mode: 0o644 });
  const directory = join(stateDirectory, "authority");
  const past = await openCertificateAuthority(directory, () => new Date(Date.now() - DAY_MS / 2));
  const { csrDer, keyPem } = await makeCertificateRequest();
  const { certificateDer } = await past.issueNode({
    csrDer,
    node: parseNodeName("c001"),
    bootId: "00000000-0000-4000-8000-000000000001",
    lifetimeSeconds: 3600,
  });
  return {
    address: LAB_NETWORK.address,
    socketPath: controller.socketPath,
    seed: SEED,
    ...{ httpRequests: 10_000, restRequests: 3000, grpcCalls: 1800 },
    sources,
    nodeMac: NODE_MAC,
    authorityPem: past.certificatePem,
    badCertificates: {
      "self-signed": await makeSelfSigned(lab.directory),
      expired: {
        cert: `-----BEGIN CERTIFICATE-----\n${certificateDer.toString("base64")}\n-----END CERTIFICATE-----\n`,
        key: keyPem,
      },
    },
    hiddenFiles: [
      ...canaries,
      join(directory, "authority.key"),
      join(stateDirectory, "inventory.db"),
      join(PROJECT, "dist/lib/musterd.mjs"),
      "/etc/passwd",
    ],
    secrets: [CANARY, await readKeyLine(directory), "SQLite format 3", "musterd is stopping", "root:x:0:"],
  };
}

/** What stands in the authority's key and nowhere else. */
async function readKeyLine(directory: string): Promise<string> {
  const line = (await readFile(join(directory, "authority.key"), "utf8")).split("\n")[1] ?? "";
  expect(line).toMatch(/^[A-Za-z0-9+/]{60,}$/);
  return line;
}

async function makeSelfSigned(directory: string): Promise<{ readonly cert: string; readonly key: string }> {
  const [key, cert] = [join(directory, "self.key"), join(directory, "self.crt")];
  await runCommand({
    program: "openssl",
    args: [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
      ...[
        "-subj",
        "/CN=c001",
        "-addext",
        "subjectAltName=URI:muster://node/c001",
        "-keyout",
        key,
        "-out",
        cert,
      ],
    ],
  });
  return { cert: await readFile(cert, "utf8"), key: await readFile(key, "utf8") };
}

async function abuse(lab: Lab, task: AbuseTask): Promise<AbuseReport> {
  const { exitCode, stdout, stderr } = await lab.run({
    program: process.execPath,
    args: [join(PROJECT, "test/e2e/abuse/abuser.ts"), JSON.stringify(task)],
    deadlineMs: 100_000,
  });
  if (exitCode !== 0) throw new Error(`the abuse ended with ${exitCode}: ${stderr}`);
  return JSON.parse(stdout) as AbuseReport;
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, one) => all + one, 0);
}

/** musterd, its blob worker and dnsmasq: process to resident memory in MiB. */
async function musterdProcesses(lab: Lab): Promise<ReadonlyMap<number, number>> {
  const pids = await listProcessesIn(lab.namespacePath);
  const facts = await Promise.all(
    pids.map(async (pid) => {
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
      const kib = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
      return kib === undefined ? [] : [[pid, Math.round(Number(kib) / 1024)] as const];
    }),
  );
  return new Map(facts.flat());
}
