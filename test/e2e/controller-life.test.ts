import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";

import type { Daemon } from "#proto/host/run-command.ts";

import { listProcessesIn } from "../lab/network-namespace.ts";
import { LAB_NETWORK, type Lab, openLab } from "../lab/open-lab.ts";
import { waitFor } from "../lab/wait-for.ts";

const DIST = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "dist");
/** What an operator waits before he looks elsewhere. */
const SOON_MS = 5000;
/** A test that musterd does not end fails here, with the rest of the suite to go on. */
const DEADLINE_MS = 30_000;

/** musterd's own life: how it starts, how it does not, and how it ends. No virtual machine. */

let lab: Lab;
let directory: string;
let round = 0;

beforeAll(async () => {
  lab = await openLab({ name: "controller-life" });
});
afterAll(() => lab[Symbol.asyncDispose]());
beforeEach(async () => {
  directory = join(lab.directory, `round-${(round += 1)}`);
  await mkdir(directory);
});

interface Settings {
  readonly address?: string;
  readonly state?: string;
  readonly more?: string;
}

async function writeConfig(settings: Settings = {}): Promise<string> {
  const path = join(directory, "muster.yaml");
  await writeFile(
    path,
    `controller: { address: ${settings.address ?? LAB_NETWORK.address} }
network: { subnet: ${LAB_NETWORK.subnet} }
paths: { state: ${settings.state ?? join(directory, "state")}, runtime: ${join(directory, "run")} }
blobs: { workers: 1 }
${settings.more ?? `dhcp: { range: ${LAB_NETWORK.rangeStart}-${LAB_NETWORK.rangeEnd} }`}
`,
  );
  return path;
}

interface Musterd {
  readonly daemon: Daemon;
  readonly lines: string[];
  /** Resolves when a line has `text`. */
  says(text: string, deadlineMs?: number): Promise<void>;
}

async function startMusterd(config: string): Promise<Musterd> {
  const lines: string[] = [];
  const daemon = await lab.start({
    program: join(DIST, "musterd"),
    args: ["--config", config],
    onLine: (line) => lines.push(line),
  });
  let ended = false;
  void daemon.exited.then(() => {
    ended = true;
  });
  return {
    daemon,
    lines,
    says: (text, deadlineMs = 15_000) =>
      waitFor(
        () => {
          if (lines.some((line) => line.includes(text))) return true;
          if (ended) throw new Error(`musterd ended without saying ${text}:\n${lines.join("\n")}`);
          return false;
        },
        { what: `musterd to say ${text}`, deadlineMs, instead: () => lines.join("\n") },
      ).then(() => undefined),
  };
}

/** Runs musterd to its end; what it says besides its log (JSON lines) is its message. */
async function runMusterd(
  config: string,
): Promise<{ readonly code: number | null; readonly said: string; readonly tookMs: number }> {
  const began = performance.now();
  const { daemon, lines } = await startMusterd(config);
  const code = await endOf(daemon, lines);
  const said = lines.filter((line) => !line.startsWith("{")).join("\n");
  return { code, said, tookMs: performance.now() - began };
}

async function endOf(daemon: Daemon, lines: readonly string[]): Promise<number | null> {
  let code: number | null | undefined;
  void daemon.exited.then((ending) => {
    code = ending.code;
  });
  await waitFor(() => code !== undefined, {
    what: "musterd to end",
    deadlineMs: DEADLINE_MS,
    instead: () => lines.join("\n"),
  }).catch(async (error: unknown) => {
    daemon.kill("SIGKILL");
    await daemon.exited;
    throw error;
  });
  return code ?? null;
}

async function dnsmasqs(): Promise<number> {
  const names = await Promise.all(
    (await listProcessesIn(lab.namespacePath)).map((pid) =>
      readFile(`/proc/${pid}/comm`, "utf8").catch(() => ""),
    ),
  );
  return names.filter((name) => name.trim() === "dnsmasq").length;
}

async function stopInOrder({ daemon, lines }: Musterd): Promise<void> {
  daemon.kill("SIGTERM");
  expect(await endOf(daemon, lines)).toBe(0);
  expect(await listProcessesIn(lab.namespacePath)).toEqual([]);
}

async function expectRefusal(config: string, code: number, said: RegExp): Promise<void> {
  const ending = await runMusterd(config);
  expect(ending.said).toMatch(said);
  expect(ending.said.split("\n").filter((line) => line.startsWith("musterd: "))).toHaveLength(1);
  expect(ending.said).not.toMatch(/\n\s+at .*:\d+/);
  expect(ending.code).toBe(code);
  expect(ending.tookMs).toBeLessThan(SOON_MS);
  expect(await listProcessesIn(lab.namespacePath)).toEqual([]);
}

test("a configuration with mistakes is refused with all of them", async () => {
  const config = await writeConfig({ more: "dhcp: { range: nonsense }\nextra: 1" });
  await expectRefusal(config, 2, /has 2 errors[^]*dhcp\.range[^]*extra[^]*muster config check/);
});

test("a configuration that is not there is refused", async () => {
  await expectRefusal(join(directory, "none.yaml"), 3, /cannot read .*none\.yaml[^]*--config/);
});

test.each([9880, 9881, 9882, 9883])("a taken port %i is refused with the remedy", async (port) => {
  const holder = await lab.start({
    program: process.execPath,
    args: ["--eval", `require("node:net").createServer().listen(${port}, () => console.log("ready"))`],
    onLine: () => undefined,
  });
  await waitFor(
    async () => (await lab.run({ program: "ss", args: ["-Hltn", `sport = :${port}`] })).stdout !== "",
    { what: "the holder to listen", deadlineMs: 10_000 },
  );
  const ending = await runMusterd(await writeConfig());
  holder.kill("SIGKILL");
  await holder.exited;
  expect(ending.said).toMatch(
    new RegExp(`musterd: .*cannot listen on 10\\.77\\.0\\.1 port ${port}[^]*ports`),
  );
  expect([ending.code === 0, ending.tookMs < SOON_MS]).toEqual([false, true]);
  expect(await listProcessesIn(lab.namespacePath)).toEqual([]);
});

test("a state directory that cannot be used is refused with the setting to change", async () => {
  await writeFile(join(directory, "file"), "");
  const config = await writeConfig({ state: join(directory, "file", "state") });
  await expectRefusal(config, 3, /cannot use the directory .*file\/state[^]*paths\.state/);
});

test("a database of a newer release is refused and left as it is", async () => {
  const config = await writeConfig();
  const musterd = await startMusterd(config);
  await musterd.says("musterd is ready");
  await stopInOrder(musterd);
  const path = join(directory, "state", "inventory.db");
  await lab.run({
    program: process.execPath,
    args: [
      "--eval",
      `new (require("node:sqlite").DatabaseSync)(${JSON.stringify(path)}).exec("update schema_version set version = 999")`,
    ],
  });
  const before = await readFile(path);
  await expectRefusal(config, 3, /newer/);
  expect((await readFile(path)).equals(before)).toBe(true);
});

test("the address of the boot interface is waited for, with an event, and SIGTERM ends the wait", async () => {
  const config = await writeConfig({ address: "10.77.0.7" });
  const waiting = await startMusterd(config);
  await waiting.says("musterd waits for it");
  await stopInOrder(waiting);
  const musterd = await startMusterd(config);
  await musterd.says("musterd waits for it");
  const address = ["10.77.0.7/24", "dev", LAB_NETWORK.bridge];
  await lab.run({ program: "ip", args: ["address", "add", ...address] });
  await musterd.says("musterd is ready");
  await stopInOrder(musterd);
  await lab.run({ program: "ip", args: ["address", "del", ...address] });
});

test("without dnsmasq it starts all the same and says that nothing boots", async () => {
  const config = await writeConfig({
    more: `dhcp: { range: ${LAB_NETWORK.rangeStart}-${LAB_NETWORK.rangeEnd}, program: ${directory}/no-dnsmasq }`,
  });
  const musterd = await startMusterd(config);
  await musterd.says("nothing answers DHCP and TFTP");
  await musterd.says("musterd is ready");
  await stopInOrder(musterd);
});

test("SIGTERM at any moment of its start ends it in order, and twice ends it at once", async () => {
  const config = await writeConfig();
  for (let afterMs = 150; afterMs <= 1350; afterMs += 200) {
    const { daemon, lines } = await startMusterd(config);
    await delay(afterMs);
    daemon.kill("SIGTERM");
    const { code, signal } = await daemon.exited;
    // Before Node has loaded musterd nobody listens to the signal, and nothing was started yet.
    if (lines.length > 0 || code !== null) expect({ code, afterMs, lines }).toMatchObject({ code: 0 });
    else expect(signal).toBe("SIGTERM");
    expect(await dnsmasqs()).toBe(0);
  }
  const musterd = await startMusterd(config);
  await musterd.says("musterd is ready");
  const began = performance.now();
  musterd.daemon.kill("SIGTERM");
  musterd.daemon.kill("SIGTERM");
  await musterd.daemon.exited;
  expect(performance.now() - began).toBeLessThan(SOON_MS);
  const next = await startMusterd(config);
  await next.says("musterd is ready");
  await stopInOrder(next);
});

test("killed twenty times while it starts, it starts the next time as if nothing had been", async () => {
  const config = await writeConfig();
  for (let turn = 0; turn < 20; turn += 1) {
    const { daemon } = await startMusterd(config);
    await delay(100 + turn * 70);
    daemon.kill("SIGKILL");
    await daemon.exited;
  }
  const musterd = await startMusterd(config);
  await musterd.says("musterd is ready");
  expect(await dnsmasqs()).toBe(1);
  await stopInOrder(musterd);
  await rm(join(directory, "state"), { recursive: true });
});
