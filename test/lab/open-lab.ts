import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import {
  type Command,
  type CommandResult,
  type Daemon,
  type DaemonCommand,
  runCommand,
  runCommandUnchecked,
  startDaemon,
} from "#proto/host/run-command.ts";

import { createNamespace, inNamespace, removeNamespace, runIpBatch } from "./network-namespace.ts";
import { readOwnIdentity } from "./process-identity.ts";
import { LAB_PREFIX, OWNER_FILE, removeLabDirectory, sweepDeadLabs } from "./sweep-dead-labs.ts";
import { createMachine, type MachineSpec, type VirtualMachine } from "./virtual-machine.ts";

/** The boot network of every lab. Labs do not see each other, so all have the same. */
export const LAB_NETWORK = {
  bridge: "br0",
  /** The controller's. */
  address: "10.77.0.1",
  subnet: "10.77.0.0/24",
  rangeStart: "10.77.0.100",
  rangeEnd: "10.77.0.200",
} as const;

/**
 * A virtual cluster: a network namespace with a bridge, the machines plugged into it and the daemons
 * started in it. Dispose of it (`await using`) and all of that is gone, whatever failed before.
 */
export interface Lab extends AsyncDisposable {
  /** muster-PID-RANDOM; also what `ip netns` shows. */
  readonly name: string;
  /** Everything the lab writes; removed with it. */
  readonly directory: string;
  /** For `nsenter --net=PATH`. */
  readonly namespacePath: string;
  readonly machines: readonly VirtualMachine[];
  addMachine(spec: MachineSpec): Promise<VirtualMachine>;
  /** Runs a command to its end inside the lab's network; any exit status is a result. */
  run(command: Command, signal?: AbortSignal): Promise<CommandResult>;
  /** Starts a daemon inside the lab's network; what still runs at the end is ended with SIGTERM, then SIGKILL. */
  start(command: DaemonCommand): Promise<Daemon>;
  /** Has `cleanup` called when the lab ends, before anything that existed earlier is taken down. */
  onDispose(cleanup: () => Promise<void>): void;
}

/** How long a daemon may take over SIGTERM. */
const STOP_GRACE_MS = 8_000;

/** Opens a lab, after sweeping away what dead ones left. `name` is a word for people in the owner file. */
export async function openLab(options: { readonly name?: string } = {}): Promise<Lab> {
  await sweepDeadLabs(tmpdir());
  const name = `${LAB_PREFIX}${process.pid}-${randomBytes(3).toString("hex")}`;
  await using undo = new AsyncDisposableStack();
  const directory = join(tmpdir(), name);
  await mkdir(directory, { mode: 0o755 });
  undo.defer(() => removeLabDirectory(directory));
  const owner = { ...(await readOwnIdentity()), name: options.name ?? "" };
  await writeFile(join(directory, OWNER_FILE), JSON.stringify(owner));
  const namespacePath = await createNamespace(name, directory);
  undo.defer(() => removeNamespace(namespacePath));
  await setUpNetwork(namespacePath);
  return makeLab({ name, directory, namespacePath }, undo.move());
}

async function setUpNetwork(namespacePath: string): Promise<void> {
  await runIpBatch(namespacePath, [
    "link set lo up",
    // With 127.0.0.1 alone, getaddrinfo (AI_ADDRCONFIG) finds no address family configured and fails.
    "address add 192.0.2.1/32 dev lo",
    // stp and a forwarding delay would swallow the first seconds of a machine's DHCP.
    `link add ${LAB_NETWORK.bridge} address 52:54:00:77:00:01 type bridge stp_state 0 forward_delay 0`,
    `address add ${LAB_NETWORK.address}/24 dev ${LAB_NETWORK.bridge}`,
    // iPXE waits 13 s for router advertisements unless something can answer; nodad: usable at once.
    `address add fd77::1/64 dev ${LAB_NETWORK.bridge} nodad`,
    `link set ${LAB_NETWORK.bridge} up`,
  ]);
}

function makeLab(
  place: Pick<Lab, "name" | "directory" | "namespacePath">,
  resources: AsyncDisposableStack,
): Lab {
  const machines: VirtualMachine[] = [];
  const start = async (command: DaemonCommand): Promise<Daemon> => {
    const daemon = await startDaemon({
      ...command,
      ...inNamespace(place.namespacePath, command.program, command.args),
    });
    resources.defer(() => stopDaemon(daemon));
    return daemon;
  };
  return {
    ...place,
    machines,
    start,
    addMachine: async (spec) => {
      const machine = await createMachine(spec, machines.length, {
        directory: place.directory,
        bridge: LAB_NETWORK.bridge,
        start,
        runIp: async (lines) => {
          await runIpBatch(place.namespacePath, lines);
        },
      });
      machines.push(machine);
      return machine;
    },
    run: (command, signal) =>
      runCommandUnchecked(
        { ...command, ...inNamespace(place.namespacePath, command.program, command.args) },
        signal,
      ),
    onDispose: (cleanup) => {
      resources.defer(cleanup);
    },
    [Symbol.asyncDispose]: async () => {
      // All at once, not one after the other: a machine takes no notice of the others.
      await Promise.all(machines.map((machine) => machine.powerOff()));
      await resources.disposeAsync();
    },
  };
}

/** Ends a daemon: SIGTERM, then SIGKILL when that took too long. Returns when it is gone. */
export async function stopDaemon(daemon: Daemon, graceMs = STOP_GRACE_MS): Promise<void> {
  daemon.kill("SIGTERM");
  const timer = new AbortController();
  const late = delay(graceMs, true, { signal: timer.signal }).catch(() => false);
  if (await Promise.race([late, daemon.exited.then(() => false)])) daemon.kill("SIGKILL");
  timer.abort();
  await daemon.exited;
}

/** Limits a directory to a small file system of its own, so that a test can fill it. Undone with the lab. */
export async function mountSmallDisk(lab: Lab, path: string, sizeMib: number): Promise<void> {
  await mkdir(path, { recursive: true });
  await runCommand({
    program: "mount",
    args: ["-t", "tmpfs", "-o", `size=${sizeMib}m,mode=755`, "lab", path],
  });
  lab.onDispose(async () => {
    await runCommandUnchecked({ program: "umount", args: [path] });
  });
}
