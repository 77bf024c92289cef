import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDaemon, runCommand } from "#proto/host/run-command.ts";
import type { MusterConfig } from "../config/muster-config.ts";
import type { Probe, ProbeAnswer } from "./netboot-test-probe.ts";

/**
 * A boot network for tests of the real dnsmasq: a network namespace with a pair of Ethernet devices, `ctl0`
 * (10.77.0.1, the controller's) and `node0` (10.77.0.250, where probes ask from). Needs root or user namespaces.
 */
export interface NetbootTestLab extends AsyncDisposable {
  readonly directory: string;
  /** Runs dnsmasq inside the namespace; the process is dnsmasq itself. */
  readonly dnsmasqProgram: string;
  probe(...probes: readonly Probe[]): Promise<readonly (ProbeAnswer | null)[]>;
  run(program: string, ...args: readonly string[]): Promise<string>;
}

// Both ends are in one namespace, so each must accept packets from an address that is its own host's.
const SETUP = `
ip link set lo up
ip link add ctl0 type veth peer name node0
ip address add 10.77.0.1/24 dev ctl0
ip link set ctl0 up
ip link set node0 up
ip address add 10.77.0.250/32 dev node0
for dev in all ctl0 node0; do
  echo 1 > /proc/sys/net/ipv4/conf/$dev/accept_local
  echo 0 > /proc/sys/net/ipv4/conf/$dev/rp_filter
done
echo ready
exec sleep 300`;

export async function openNetbootTestLab(): Promise<NetbootTestLab> {
  const directory = await mkdtemp(join(tmpdir(), "muster-netboot-"));
  await chmod(directory, 0o755);
  const asRoot = process.getuid?.() === 0;
  let ready = (): void => undefined;
  const isReady = new Promise<void>((resolve) => {
    ready = resolve;
  });
  const complaints: string[] = [];
  const keeper = await startDaemon({
    program: "unshare",
    args: [...(asRoot ? [] : ["--user", "--map-root-user"]), "--net", "sh", "-e", "-c", SETUP],
    onLine: (line, stream) => {
      if (stream === "stdout" && line === "ready") ready();
      else complaints.push(line);
    },
  });
  await Promise.race([
    isReady,
    keeper.exited.then(() => {
      throw new Error(`no network namespace for the test: ${complaints.join("; ")}`);
    }),
  ]);
  const enter = [
    `--net=/proc/${keeper.pid}/ns/net`,
    ...(asRoot ? [] : [`--user=/proc/${keeper.pid}/ns/user`, "--preserve-credentials"]),
  ];
  const dnsmasqProgram = join(directory, "dnsmasq-in-lab");
  await writeFile(dnsmasqProgram, `#!/bin/sh\nexec nsenter ${enter.join(" ")} -- dnsmasq "$@"\n`, {
    mode: 0o755,
  });
  const run = async (program: string, ...args: readonly string[]): Promise<string> =>
    (await runCommand({ program: "nsenter", args: [...enter, "--", program, ...args] })).stdout;
  return {
    directory,
    dnsmasqProgram,
    run,
    probe: async (...probes) =>
      JSON.parse(
        await run(
          process.execPath,
          join(import.meta.dirname, "netboot-test-probe.ts"),
          JSON.stringify(probes),
        ),
      ) as (ProbeAnswer | null)[],
    async [Symbol.asyncDispose]() {
      keeper.kill("SIGKILL");
      await keeper.exited;
      await rm(directory, { recursive: true });
    },
  };
}

/** A configuration for the lab's network. */
export function testConfig(directory: string, program = "dnsmasq"): MusterConfig {
  return {
    controller: { address: "10.77.0.1", names: [], alternatives: [] },
    network: { subnet: "10.77.0.0/24", dns: [], domain: "cluster.test" },
    dhcp: {
      mode: "dnsmasq",
      supervisor: "child",
      rangeStart: "10.77.0.100",
      rangeEnd: "10.77.0.199",
      leaseSeconds: 3600,
      program,
    },
    ports: { http: 9880, enrolment: 9881, agents: 9882, blobs: 9883, api: 9884 },
    paths: {
      state: join(directory, "state"),
      runtime: join(directory, "runtime"),
      overlays: join(directory, "state", "overlays"),
      hooks: join(directory, "hooks.d"),
      ipxe: "/usr/lib/ipxe",
      artifacts: join(directory, "artifacts"),
    },
    boot: { kernelArguments: [], giveUpAfterSeconds: 600, rebootAfterSeconds: 30 },
    enrolment: { tokenSeconds: 600, certificateSeconds: 3600, maxPending: 100, rules: [] },
    blobs: { workers: 1, graceSeconds: 60 },
    overlays: { schedule: "*/5 * * * *", jitterSeconds: 60, onDrift: "repair", runtime: [] },
    hooks: { deadlineSeconds: 30 },
    agents: { update: true },
    limits: { connectionsPerAddress: 256 },
    telemetry: { keepDays: 1, maxEvents: 100, maxBoots: 100, maxLogLines: 1000 },
    api: { group: "muster", remote: false },
  };
}
