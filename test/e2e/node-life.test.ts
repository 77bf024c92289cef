import { createHash } from "node:crypto";
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { constants, zstdCompressSync } from "node:zlib";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { LogLineView } from "../../controller/api/rest/log-routes.ts";
import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { waitFor } from "../lab/wait-for.ts";
import {
  type Cluster,
  describeTrouble,
  DIST,
  getNode,
  listEvents,
  openCluster,
  waitForReady,
} from "./cluster.ts";

const MAC = "52:54:00:77:33:01";
const NAME = "c001";
/** As long as the real one: it is written over it, wherever it stands in the executable. */
const OTHER_BUILD = `sha256:${"5a".repeat(32)}`;

/**
 * A release whose agent is the built one under another name of its build: base archives as built, so that nodes boot
 * with the built one and then are offered the other.
 */
async function makeNextRelease(directory: string): Promise<string> {
  const dist = join(directory, "next-release");
  await mkdir(join(dist, "lib"), { recursive: true });
  await mkdir(join(dist, "artifacts"));
  for (const name of ["musterd", "muster", "muster-initramfs"])
    await copyFile(join(DIST, name), join(dist, name));
  for (const name of ["musterd", "muster", "muster-initramfs", "blob-worker"]) {
    await copyFile(join(DIST, `lib/${name}.mjs`), join(dist, `lib/${name}.mjs`));
  }
  for (const name of ["chunks", "initramfs"]) {
    await cp(join(DIST, "lib", name), join(dist, "lib", name), { recursive: true });
  }
  for (const name of ["node", "node_modules"])
    await symlink(join(DIST, "lib", name), join(dist, "lib", name));
  for (const name of ["base-zstd.cpio", "base-gzip.cpio"]) {
    await symlink(join(DIST, "artifacts", name), join(dist, "artifacts", name));
  }
  const { build, sizeBytes } = JSON.parse(await readFile(join(DIST, "artifacts/agent.json"), "utf8")) as {
    readonly build: string;
    readonly sizeBytes: number;
  };
  const program = await readFile(join(DIST, "muster-agent"));
  for (let at = program.indexOf(build); at >= 0; at = program.indexOf(build, at + 1)) {
    program.write(OTHER_BUILD, at, "latin1");
  }
  const packed = zstdCompressSync(program, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  await writeFile(join(dist, "artifacts/agent.zst"), packed);
  const digest = `sha256:${createHash("sha256").update(packed).digest("hex")}`;
  const blob = { digest, sizeBytes: packed.length };
  await writeFile(
    join(dist, "artifacts/agent.json"),
    JSON.stringify({ version: "9.9.9", build: OTHER_BUILD, sizeBytes, blob }),
  );
  return dist;
}

describe("a node that is up", () => {
  let directory: string;
  let cluster: Cluster;
  let machine: VirtualMachine;

  const logs = async (): Promise<readonly string[]> => {
    const lines = JSON.parse(
      await cluster.controller.mustMuster(["node", "logs", NAME, "-o", "json"]),
    ) as readonly LogLineView[];
    return lines.map(({ text }) => text);
  };
  const waitForLine = (line: string): Promise<unknown> =>
    waitFor(async () => (await logs()).includes(line), {
      what: `${NAME} to say: ${line}`,
      deadlineMs: 120_000,
      intervalMs: 1000,
      instead: async () => `${(await logs()).join("\n")}\n${await describeTrouble(cluster, machine)}`,
    });

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "muster-release-"));
    const dist = await makeNextRelease(directory);
    cluster = await openCluster({ dist });
    await cluster.controller.mustMuster(["node", "add", NAME, "--mac", MAC]);
    machine = await cluster.lab.addMachine({ name: "m1", mac: MAC, firmware: "bios", memoryMib: 2048 });
    await machine.powerOn();
    await waitForReady(cluster, NAME, machine);
  }, 300_000);
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  test("gets the agent of its controller without a restart", async () => {
    const { status: before } = await getNode(cluster, NAME);
    await waitForLine("agent 9.9.9 installed");
    await waitForLine("another agent was put in place of this one; ending for it");
    await waitForLine("the new agent was welcomed: it stays");
    const after = await waitForReady(cluster, NAME, machine);
    expect(after.status.bootId).toBe(before.bootId);
    const said = await logs();
    expect(said.filter((line) => line.startsWith("fetching agent"))).toHaveLength(1);
  }, 300_000);

  test("is checked over its session", async () => {
    for (const check of ["clock", "root", "overlay"]) {
      const { exitCode, stdout, stderr } = await cluster.controller.muster([
        "node",
        "check",
        NAME,
        "--check",
        check,
      ]);
      expect({ exitCode, stdout, stderr }).toMatchObject({
        exitCode: 0,
        stderr: "1 node as they should be\n",
      });
    }
  }, 60_000);

  test("restarts when it is told to, and is followed until it is ready again", async () => {
    const { status: before } = await getNode(cluster, NAME);
    const { exitCode, stderr } = await cluster.controller.muster([
      ...["reboot", NAME, "--wait", "--timeout", "5m", "-m", "a test"],
    ]);
    expect({ exitCode, stderr }, await describeTrouble(cluster, machine)).toEqual({
      exitCode: 0,
      stderr: `${NAME}: restarting\n${NAME}: ready\n1 of 1 ready\n`,
    });
    const { status: after } = await getNode(cluster, NAME);
    expect([after.state, after.bootId === before.bootId]).toEqual(["ready", false]);
    const events = (await listEvents(cluster)).filter(({ node }) => node === NAME);
    expect(events.map(({ what }) => what)).toContain(`reboot of ${NAME} asked by root: a test`);
    expect(await logs()).toContain("restarting: asked by root: a test");
    // Only the restart of the agent broke its session unexpectedly.
    expect(events.filter(({ kind }) => kind === "node-unreachable").length).toBeLessThanOrEqual(1);
  }, 400_000);
});
