import { createHash } from "node:crypto";
import { chmod, chown, mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { LogLineView } from "../../controller/api/rest/log-routes.ts";
import type { NodeOverlayView, OverlayStatusView } from "../../controller/api/rest/overlay-routes.ts";
import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { waitFor } from "../lab/wait-for.ts";
import {
  type Cluster,
  countOnConsole,
  describeTrouble,
  getNode,
  listEvents,
  listNodes,
  openCluster,
  readMusterLines,
  waitForReady,
  writeOverlay,
} from "./cluster.ts";
import { installRelease, NEXT_VERSION, type Release } from "./next-release.ts";
import { countEvents, type NodeLogin, openLogin, RUNNING_OVERLAY } from "./running-node.ts";

const MAC = "52:54:00:77:34:01";
const NAME = "c001";
/** The schedule never comes: whatever happens here happens because somebody asked for it. */
const CONFIG = `overlays: { schedule: "0 0 1 1 *", jitter: 0s }\n`;
/** Far more than an update takes; a machine under emulation beside others may be slow. */
const SOON_MS = 90_000;
/** systemd starts the agent five seconds after it ended; then it has a second or two to load and to connect. */
const AGENT_BACK_MS = 60_000;
const MANY = 600;

/** Shows on the node, and to its tests, how often it was started. */
const VISIBLE_UNIT = `[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'echo started >>/run/visible'
`;

/** One boot of one node, each test going on where the one before left off, until it is told to restart. */
describe("a node that is up", () => {
  let directory: string;
  let release: Release;
  let cluster: Cluster;
  let machine: VirtualMachine;
  let login: NodeLogin;
  let rootfs: string;
  let bootId: string | undefined;

  const muster = (...args: readonly string[]) => cluster.controller.muster(args);
  const onNode = (command: string): Promise<string> => login.on(NAME, command);
  const trouble = (): Promise<string> => describeTrouble(cluster, machine);
  const eventsOf = (kind: string): Promise<number> => countEvents(cluster, NAME, kind);
  const overlayStatus = async (): Promise<NodeOverlayView> => {
    const { nodes } = await cluster.controller.get<OverlayStatusView>(`/api/v1/overlay-status?names=${NAME}`);
    if (nodes[0] === undefined) throw new Error(`${NAME} has no overlay status`);
    return nodes[0];
  };
  const logs = async (...options: readonly string[]): Promise<readonly LogLineView[]> =>
    JSON.parse(
      await cluster.controller.mustMuster([
        "node",
        "logs",
        NAME,
        "--limit",
        "1000",
        ...options,
        "-o",
        "json",
      ]),
    ) as readonly LogLineView[];
  const saysSoon = (line: string, deadlineMs = SOON_MS): Promise<unknown> =>
    waitFor(async () => (await logs()).some(({ text }) => text === line), {
      what: `${NAME} to say: ${line}`,
      deadlineMs,
      intervalMs: 500,
      instead: async () => `${(await logs()).map(({ text }) => text).join("\n")}\n${await trouble()}`,
    });
  /** Changes the overlay and waits until the node told that it has it; returns what it told, and how long that took. */
  const change = async (act: () => Promise<void>): Promise<NodeOverlayView & { readonly tookMs: number }> => {
    const { wanted: before } = await overlayStatus();
    await act();
    const startedMs = performance.now();
    return waitFor(
      async () => {
        const status = await overlayStatus();
        const isDone = status.wanted !== before && status.applied === status.wanted;
        return isDone && { ...status, tookMs: performance.now() - startedMs };
      },
      {
        what: "the overlay to be applied",
        deadlineMs: SOON_MS,
        intervalMs: 20,
        instead: async () => `${JSON.stringify(await overlayStatus())}\n${await trouble()}`,
      },
    );
  };
  const waitForOverlay = (): Promise<unknown> =>
    waitFor(async () => (await overlayStatus()).verdict === "current", {
      what: "the overlay of this boot",
      deadlineMs: SOON_MS,
      instead: async () => `${JSON.stringify(await overlayStatus())}\n${await trouble()}`,
    });
  const put = (path: string, text: string): Promise<void> => writeFile(join(rootfs, path), text);
  /** What the agent's process does to its session, and the session to the node's state, is seen in both. */
  const waitForAgent = async (before: string): Promise<string> => {
    const after = await waitFor(
      async () => {
        const pid = await onNode("systemctl show -p MainPID --value muster-agent");
        return pid !== "0" && pid !== before && pid;
      },
      { what: "the agent to be started again", deadlineMs: AGENT_BACK_MS, instead: trouble },
    );
    await waitForReady(cluster, NAME, machine);
    return after;
  };
  const agentPid = (): Promise<string> => onNode("systemctl show -p MainPID --value muster-agent");

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "muster-life-"));
    release = await installRelease(directory);
    cluster = await openCluster({ dist: release.dist, moreConfig: CONFIG });
    const unit = "etc/systemd/system/visible.service";
    login = await openLogin(cluster, [
      { path: unit, text: VISIBLE_UNIT },
      { path: "etc/systemd/system/multi-user.target.wants/visible.service", linkTo: `/${unit}` },
    ]);
    rootfs = await writeOverlay(cluster, "site", [{ path: "etc/site/first", text: "first\n" }]);
    await cluster.controller.mustMuster([
      ...["node", "add", NAME, "--mac", MAC, "--overlay", RUNNING_OVERLAY, "--runtime-overlay", "site"],
    ]);
    // The second agent lies in the root of the node, which is memory.
    machine = await cluster.lab.addMachine({ name: "m1", mac: MAC, firmware: "bios", memoryMib: 2048 });
    await machine.powerOn();
    ({ bootId } = (await waitForReady(cluster, NAME, machine)).status);
    await login.waitFor(NAME);
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  test("has its runtime overlay from its first session on, and changes within seconds", async () => {
    await waitForOverlay();
    expect((await overlayStatus()).overlays).toEqual(["site"]);
    expect(await onNode("cat /etc/site/first")).toBe("first");
    const added = await change(async () => {
      const target = join(rootfs, "etc/site/private");
      await writeFile(join(directory, "private"), "a\n");
      await chown(join(directory, "private"), 1234, 4321);
      await chmod(join(directory, "private"), 0o640);
      await rename(join(directory, "private"), target);
      await symlink("private", join(rootfs, "etc/site/link"));
    });
    expect(await onNode("cd /etc/site; stat -c '%n %A %u %g %s' private; readlink link")).toBe(
      "private -rw-r----- 1234 4321 2\nprivate",
    );
    const changed = await change(() => put("etc/site/private", "changed\n"));
    expect(await onNode("cd /etc/site; cat link; stat -c '%A %u %g' private; ls -A")).toBe(
      "changed\n-rw-r----- 1234 4321\nfirst\nlink\nprivate",
    );
    const modeOnly = await change(() => chmod(join(rootfs, "etc/site/first"), 0o600));
    expect(await onNode("stat -c %A /etc/site/first; cat /etc/site/first")).toBe("-rw-------\nfirst");
    process.stderr.write(
      `applied after ${[added, changed, modeOnly].map(({ tookMs }) => `${Math.round(tookMs)} ms`).join(", ")}\n`,
    );
    expect(Math.max(added.tookMs, changed.tookMs, modeOnly.tookMs)).toBeLessThan(10_000);
  });

  test("gets the file of the image back when nothing covers it any more", async () => {
    const look = "stat -c '%A %u %g %s %y' /etc/issue; cat /etc/issue; ls /etc/site";
    const image = await onNode(look);
    await change(() => put("etc/issue", "of the overlay\n"));
    expect(await onNode("cat /etc/issue")).toBe("of the overlay");
    await change(async () => {
      await rm(join(rootfs, "etc/issue"));
      await symlink("/etc/site/first", join(rootfs, "etc/issue"));
    });
    expect(await onNode("readlink /etc/issue")).toBe("/etc/site/first");
    await change(() => rm(join(rootfs, "etc/issue")));
    expect(await onNode(look)).toBe(image);
    // A file to a symbolic link and back.
    await change(async () => {
      await rm(join(rootfs, "etc/site/link"));
      await put("etc/site/link", "no link\n");
    });
    expect(await onNode("stat -c %F /etc/site/link; cat /etc/site/private")).toBe("regular file\nchanged");
    await change(async () => {
      await rm(join(rootfs, "etc/site/link"));
      await symlink("first", join(rootfs, "etc/site/link"));
    });
    expect(await onNode("readlink /etc/site/link; cat /etc/site/link")).toBe("first\nfirst");
  });

  test("puts local edits right, and tells of them", async () => {
    const refresh = () => muster("node", "refresh", NAME, "--wait");
    expect(await refresh()).toEqual({ exitCode: 0, stdout: "c001: nothing to change\n", stderr: "" });
    await onNode("echo mine >>/etc/site/private; chmod 777 /etc/site/first; rm /etc/site/link");
    const check = await muster("node", "check", NAME, "--check", "overlay");
    expect(check.exitCode).toBe(1);
    expect(check.stdout).toMatch(/overlay +failed +.*\/etc\/site\//);
    expect(await refresh()).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(
        /^c001: 3 paths changed; .*\/etc\/site\/private: .* \(put right\)/,
      ) as string,
    });
    expect(await onNode("cd /etc/site; stat -c '%A %u %g' private first; cat private; readlink link")).toBe(
      "-rw-r----- 1234 4321\n-rw------- 0 0\nchanged\nfirst",
    );
    const status = await muster("overlay", "status", NAME);
    expect(status.exitCode).toBe(0);
    expect(status.stdout).toMatch(/^c001: current \([0-9a-f]{8}\)/);
    expect(status.stdout).toMatch(/^ {2}\/etc\/site\/private: .* \(put right\)$/m);
    await waitFor(async () => (await eventsOf("overlay-drift")) === 1, {
      what: "the edits to be an event",
      deadlineMs: SOON_MS,
    });
    expect(await muster("node", "check", NAME, "--check", "overlay")).toMatchObject({ exitCode: 0 });
  });

  test("runs the command of a change once, and tells when it fails", async () => {
    const settings = join(rootfs, "../overlay.yaml");
    await change(() => writeFile(settings, `onChange: {"/etc/site/**": systemctl restart visible}\n`));
    expect(await onNode("wc -l </run/visible")).toBe("1");
    const done = await change(async () => {
      await put("etc/site/first", "1\n");
      await put("etc/site/second", "2\n");
    });
    expect(done.reactions).toMatchObject([{ command: "systemctl restart visible", failure: "" }]);
    expect(await onNode("wc -l </run/visible")).toBe("2");
    const failed = await change(async () => {
      await writeFile(settings, `onChange: {"/etc/site/first": "systemctl restart no-such-unit"}\n`);
      await put("etc/site/first", "3\n");
    });
    expect(failed).toMatchObject({ verdict: "reaction-failed", reactions: [{ failure: "exit status 5" }] });
    expect(await onNode("cat /etc/site/first")).toBe("3");
    const shown = await muster("overlay", "status", NAME);
    expect(shown.exitCode).toBe(1);
    expect(shown.stdout).toContain("no-such-unit.service not found");
    await waitFor(async () => (await eventsOf("reaction-failed")) === 1, {
      what: "the failure to be an event",
      deadlineMs: SOON_MS,
    });
    const { verdict } = await change(async () => {
      await writeFile(settings, "");
      await put("etc/site/first", "first\n");
    });
    expect(verdict).toBe("current");
    expect(await onNode("systemctl list-units --all --plain --no-legend 'muster-reaction-*'")).toBe("");
  });

  test("has its agent back within seconds when it is killed, in the middle of updates too", async () => {
    const before = await agentPid();
    const startedMs = performance.now();
    await onNode(`kill -9 ${before}`);
    let pid = await waitForAgent(before);
    process.stderr.write(`agent back after ${Math.round(performance.now() - startedMs)} ms\n`);

    const files = Array.from({ length: MANY }, (_, index) => `f${String(index).padStart(4, "0")}`);
    const fill = async (round: string): Promise<void> => {
      const next = join(directory, `many-${round}`);
      await mkdir(next);
      for (const name of files) await writeFile(join(next, name), `${name} ${round}\n`.repeat(100));
      await mkdir(join(rootfs, "opt/many"), { recursive: true });
      // In two steps, so that nobody sees a part of it.
      await rename(join(rootfs, "opt/many"), join(directory, `many-before-${round}`));
      await rename(next, join(rootfs, "opt/many"));
    };
    const digestOf = (round: string): string => {
      const hash = createHash("sha256");
      for (const name of files) hash.update(`${name} ${round}\n`.repeat(100));
      return hash.digest("hex");
    };
    // While the files are made where nobody looks, and while they are renamed into place.
    for (const [round, isUnderWay] of [
      ["a", "set -- /var/lib/muster/overlay/staging/*; [ $# -gt 50 ]"],
      ["b", 'grep -qs " b" /opt/many/f0000'],
    ] as const) {
      const unit = `systemd-run --quiet --collect --unit=killer-${round}`;
      await onNode(`${unit} sh -c 'until ${isUnderWay}; do :; done; kill -9 ${pid}'`);
      await change(() => fill(round));
      pid = await waitForAgent(pid);
      expect(await onNode("cd /opt/many; ls | wc -l; cat f* | sha256sum")).toBe(
        `${MANY}\n${digestOf(round)}  -`,
      );
      expect(await onNode("ls -A /var/lib/muster/overlay/staging; find /opt -name '.muster-*'")).toBe("");
    }
    expect(await onNode("systemctl show -p NRestarts --value muster-agent")).toBe("3");
    await change(() => rename(join(rootfs, "opt/many"), join(directory, "many")));
    expect(await onNode("ls -A /opt")).toBe("");
    expect((await getNode(cluster, NAME)).status.bootId).toBe(bootId);
  });

  test("has reported the machine that it is", async () => {
    const report = await waitFor(
      async () => {
        const { exitCode, stdout } = await muster("hardware", "show", NAME, "-o", "json");
        return exitCode === 0 && (JSON.parse(stdout) as { readonly report: unknown }).report;
      },
      { what: "the hardware of the node", deadlineMs: 60_000, intervalMs: 500, instead: trouble },
    );
    const onSpot = JSON.parse(await onNode("/usr/lib/muster/muster-agent hardware --json")) as unknown;
    expect(report).toEqual(onSpot);
    const facts = await onNode(
      "nproc; sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo; uname -r; cat /sys/class/dmi/id/product_serial",
    );
    const [cpus = "", memoryKib = "", kernel = "", serial = ""] = facts.split("\n");
    expect([cpus, serial]).toEqual(["1", "LAB-M1"]);
    for (const fact of [kernel, serial, MAC]) expect(JSON.stringify(report)).toContain(fact);
    const [line = ""] = (await onNode("/usr/lib/muster/muster-agent hardware")).split("\n");
    expect(line).toContain(`RealMemory=${Math.floor(Number(memoryKib) / 1024)}`);
    const slurm = await cluster.controller.mustMuster(["hardware", "slurm-conf", NAME]);
    expect(slurm.split("\n")).toContain(line);
    expect(await cluster.controller.mustMuster(["hardware", "list"])).toMatch(/\nc001 +1 +1 +1 +1 +2 GiB /);
    expect(await muster("node", "check", NAME)).toMatchObject({
      exitCode: 0,
      stderr: "1 node as they should be\n",
    });
  });

  test("is reached with muster ssh, and what it said can be read and followed", async () => {
    const ssh = (...words: readonly string[]) => muster("ssh", ...login.musterOptions, ...words);
    expect(await ssh(NAME, "hostname; echo aside >&2; exit 3")).toEqual({
      exitCode: 3,
      stdout: "c001: c001\n",
      stderr: "c001: aside\nc001: exited with 3\n",
    });
    const rule = "---------------\n";
    expect(await ssh("-b", NAME, "uname -s")).toMatchObject({
      exitCode: 0,
      stdout: `${rule}c001\n${rule}Linux\n`,
    });

    const lines = await logs();
    expect(new Set(lines.map(({ boot }) => boot))).toEqual(new Set([bootId]));
    expect(new Set(lines.map(({ source }) => source))).toEqual(new Set(["boot", "agent", "reaction"]));
    const fromBoot = lines.filter(({ source }) => source === "boot").map(({ text }) => text);
    expect(fromBoot).toContain("enrolled as c001");
    const onConsole = (await readMusterLines(machine)).map((line) => line.trim());
    expect(fromBoot.filter((text) => !onConsole.includes(text))).toEqual([]);
    const followed: string[] = [];
    const follower = await cluster.lab.start({
      program: join(release.dist, "muster"),
      args: ["node", "logs", NAME, "--follow", "--limit", "1"],
      env: { PATH: process.env["PATH"] ?? "", MUSTER_SOCKET: cluster.controller.socketPath },
      onLine: (line) => followed.push(line),
    });
    await waitFor(() => followed.length > 1, { what: "the last line", deadlineMs: SOON_MS });
    await change(() => put("etc/site/followed", "x\n"));
    await waitFor(() => followed.some((line) => line.endsWith("agent     overlay: 1 paths changed")), {
      what: "the agent's next line",
      deadlineMs: SOON_MS,
      instead: () => followed.join("\n"),
    });
    follower.kill("SIGINT");
    expect(await follower.exited).toMatchObject({ signal: null });
  });

  test("restarts when it is told to, is followed until it is ready, and has all it had", async () => {
    const plan = await cluster.controller.mustMuster(["reboot", NAME, "--plan"]);
    expect(plan).toMatch(/\nc001 +ready +debian12 v1 +the same +6\.[^ ]+ +running/);
    const kernelBoot = (await login.job(NAME)).kernelBoot;
    const hostKey = await onNode("cat /etc/ssh/ssh_host_ed25519_key.pub");
    const { exitCode, stderr } = await muster("reboot", NAME, "--wait", "--timeout", "4m", "-m", "a test");
    expect({ exitCode, stderr }, await trouble()).toEqual({
      exitCode: 0,
      stderr: `${NAME}: restarting\n${NAME}: ready\n1 of 1 ready\n`,
    });
    expect(await logs("--boot", bootId ?? "")).toContainEqual(
      expect.objectContaining({ source: "agent", text: "restarting: asked by root: a test" }),
    );
    const { state, bootId: next } = (await getNode(cluster, NAME)).status;
    expect([state, next === bootId]).toEqual(["ready", false]);
    bootId = next;
    expect(await countOnConsole(machine, /SeaBIOS \(version/g)).toBe(2);
    await login.waitFor(NAME);
    await waitForOverlay();
    expect(await onNode("cd /etc/site; ls; cat private")).toBe(
      "first\nfollowed\nlink\nprivate\nsecond\nchanged",
    );
    expect((await login.job(NAME)).kernelBoot).not.toBe(kernelBoot);
    expect(await onNode("cat /etc/ssh/ssh_host_ed25519_key.pub")).toBe(hostKey);
    expect(await onNode("systemctl list-units --failed --plain --no-legend")).toBe("");
  });

  test("gets the agent of the next release without a restart", async () => {
    const before = await login.job(NAME);
    const pid = await agentPid();
    await release.becomeNext();
    await cluster.controller.restart();
    await saysSoon(`agent ${NEXT_VERSION} installed`, 120_000);
    await saysSoon("the new agent was welcomed: it stays", 60_000);
    await waitForAgent(pid);
    expect((await getNode(cluster, NAME)).status.bootId).toBe(bootId);
    expect(await onNode("ls -A /run/muster/update")).not.toContain("trying");
    const said = (await logs()).filter(({ text }) => text.startsWith("fetching agent"));
    expect(said).toHaveLength(1);
    const after = await login.job(NAME);
    expect(after).toMatchObject({ invocation: before.invocation, kernelBoot: before.kernelBoot });
    // The new agent knows what the one before applied.
    expect(await muster("node", "refresh", NAME, "--wait")).toMatchObject({
      stdout: "c001: nothing to change\n",
    });
  });

  test("goes on running without a session when it is revoked, and is forgotten when it is deleted", async () => {
    const before = await login.job(NAME);
    await cluster.controller.mustMuster(["node", "revoke", NAME, "-y", "-m", "a test"]);
    await waitFor(async () => (await getNode(cluster, NAME)).status.state === "unreachable", {
      what: "its session to end",
      deadlineMs: 5000,
    });
    expect(await muster("node", "refresh", NAME, "--wait")).toMatchObject({ exitCode: 1 });
    await put("etc/site/first", "for those who may\n");
    const after = await login.job(NAME);
    expect(after).toMatchObject({ invocation: before.invocation, kernelBoot: before.kernelBoot });
    expect(after.ticks).toBeGreaterThan(before.ticks);
    expect(await onNode("cat /etc/site/first; systemctl is-active muster-agent")).toBe("first\nactive");
    expect((await getNode(cluster, NAME)).status.state).toBe("unreachable");
    // Whoever answers with another key is not known to be c001.
    await onNode("rm /etc/ssh/ssh_host_*; ssh-keygen -q -A; systemctl restart ssh");
    await waitFor(
      async () =>
        (await login.tryOn(NAME, "true")).failure?.includes(
          "its host key is not the one musterd made for it",
        ),
      {
        what: "the other host key to be refused",
        deadlineMs: SOON_MS,
        instead: async () => JSON.stringify(await login.tryOn(NAME, "true")),
      },
    );
    await cluster.controller.mustMuster(["node", "delete", NAME, "-y"]);
    expect(await listNodes(cluster)).toEqual([]);
    const kinds = (await listEvents(cluster)).map(({ kind }) => kind);
    expect(kinds).toContain("identity-revoked");
    expect(kinds.filter((kind) => /failed|lost|stuck|impostor/.test(kind))).toEqual(["reaction-failed"]);
    expect(machine.isRunning).toBe(true);
  });
});
