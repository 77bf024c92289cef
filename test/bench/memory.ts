import { type Cluster, IMAGE, openCluster, waitForReady, writeOverlay } from "../e2e/cluster.ts";
import { addDirectMachine } from "./direct-boot.ts";
import { renderMegabytes, renderTable } from "./render-table.ts";

const NODE = { name: "c001", mac: "52:54:00:77:21:01", address: "10.77.0.31" } as const;
const MEMORY_MIB = 2048;
const PROBE_DEADLINE_MS = 180_000;
const MODES = ["squashfs", "tmpfs"] as const;
const KIB = 1024;

/**
 * Run on the node once systemd has started everything. Prints when two readings 5 s apart agree within 1 %. What the
 * agent's files take is counted apart: others do not have them.
 */
const PROBE = `#!/bin/sh
available() { sed -n 's/^MemAvailable: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo; }
systemctl is-system-running --wait >/dev/null
before=0
now=$(available)
while [ $(((now - before) * 100)) -ge "$now" ] || [ $(((before - now) * 100)) -ge "$now" ]; do
	before=$now
	sleep 5
	now=$(available)
done
total=$(sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo)
shmem=$(sed -n 's/^Shmem: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo)
agent=$(du -skx /usr/lib/muster | cut -f1)
printf 'MEMORY total=%s available=%s shmem=%s agent=%s root=%s.\\n' "$total" "$now" "$shmem" "$agent" "$(findmnt -n -o FSTYPE /)" >/dev/ttyS0
`;

const UNIT = `[Unit]
Description=Says on the console how much memory is left
After=muster-agent.service

[Service]
Type=exec
ExecStart=/usr/lib/bench-probe
`;

/** Bytes on a node some seconds after it is ready. */
interface Reading {
  readonly total: number;
  readonly available: number;
  /** Held by files in tmpfs, packed or not: the image, the agent, what was written since; meminfo's Shmem. */
  readonly shmem: number;
  /** The agent's files: unpacked in root mode tmpfs. */
  readonly agent: number;
  readonly root: string;
}

/** What the operating system takes of a node's memory: squashfs layers, and the same tree unpacked into a tmpfs. */
export async function benchMemory(say: (line: string) => void): Promise<string> {
  await using cluster = await openCluster();
  const unit = "etc/systemd/system/bench-probe.service";
  await writeOverlay(cluster, "bench", [
    { path: "usr/lib/bench-probe", text: PROBE, mode: 0o755 },
    { path: unit, text: UNIT },
    { path: "etc/systemd/system/multi-user.target.wants/bench-probe.service", linkTo: `/${unit}` },
  ]);
  const { name, mac, address } = NODE;
  await cluster.controller.mustMuster([
    "node",
    "add",
    name,
    "--mac",
    mac,
    "--address",
    address,
    "--image",
    IMAGE,
    "--overlay",
    "bench",
  ]);
  const readings: Reading[] = [];
  for (const mode of MODES) {
    say(`boot with root mode ${mode}`);
    readings.push(await readOnce(cluster, mode));
  }
  return render(readings);
}

async function readOnce(cluster: Cluster, mode: (typeof MODES)[number]): Promise<Reading> {
  await cluster.controller.mustMuster(["node", "set", NODE.name, "--root-mode", mode]);
  const machine = await addDirectMachine(
    cluster,
    { name: `${NODE.name}-${mode}`, mac: NODE.mac, cores: 2, memoryMib: MEMORY_MIB },
    NODE.address,
  );
  await machine.powerOn();
  const match = await machine.waitForConsole(
    /MEMORY total=(\d+) available=(\d+) shmem=(\d+) agent=(\d+) root=(\w+)\./,
    {
      deadlineMs: PROBE_DEADLINE_MS,
    },
  );
  await waitForReady(cluster, NODE.name, machine);
  await machine.powerOff();
  const [total = 0, available = 0, shmem = 0, agent = 0] = match
    .slice(1, 5)
    .map((text) => Number(text) * KIB);
  return { total, available, shmem, agent, root: match[5] ?? "" };
}

function render(readings: readonly Reading[]): string {
  const ratio = (value: (reading: Reading) => number): string => {
    const [packed = 0, unpacked = 0] = readings.map(value);
    return (unpacked / packed).toFixed(2);
  };
  const row = (name: string, value: (reading: Reading) => number): string[] => [
    name,
    ...readings.map((reading) => renderMegabytes(value(reading))),
    ratio(value),
  ];
  return renderTable(
    ["MB", ...MODES.map((mode, index) => `${mode} (/ is ${readings[index]?.root ?? ""})`), "ratio"],
    [
      row("MemAvailable", ({ available }) => available),
      row("used: MemTotal - MemAvailable", ({ total, available }) => total - available),
      row("of which files in tmpfs (Shmem)", ({ shmem }) => shmem),
      row("the same without the agent unpacked", ({ shmem, root, agent }) =>
        root === "tmpfs" ? shmem - agent : shmem,
      ),
    ],
  );
}
