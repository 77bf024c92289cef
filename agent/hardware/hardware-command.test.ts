import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";

import { runHardwareCommand } from "./hardware-command.ts";
import { writeSysfsTree } from "./testing/write-sysfs-tree.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "muster-hardware-"));
  writeSysfsTree(root, { levels: "package:2 numa:1 core:2 pu:2" });
  write("proc/sys/kernel/hostname", "c017.cluster.example\n");
  write("proc/uptime", "3313.58 6543.21\n");
  write("proc/meminfo", "MemTotal:       134217724 kB\nMemFree:        1000 kB\n");
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

async function hardware(...args: readonly string[]): Promise<{ exit: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const host = {
    write: (text: string) => {
      out += text;
    },
    writeError: (text: string) => {
      err += text;
    },
    run: () => Promise.reject(new Error("a copy of another machine is not asked")),
  };
  const exit = await runHardwareCommand(["--root", root, ...args], host, new AbortController().signal);
  return { exit, out, err };
}

const COUNTS = "CPUs=8 Boards=1 SocketsPerBoard=2 CoresPerSocket=2 ThreadsPerCore=2 RealMemory=131072";

describe("muster-agent hardware --root", () => {
  it("prints what slurmd -C would on that machine", async () => {
    expect(await hardware()).toEqual({
      exit: 0,
      out: `NodeName=c017 ${COUNTS}\nUpTime=0-00:55:14\n`,
      err: "",
    });
  });

  it("counts the part of a second that /proc/uptime cuts off, as sysinfo(2) does", async () => {
    write("proc/uptime", "3313.00 6543.21\n");
    expect((await hardware()).out).toContain("UpTime=0-00:55:14\n");
  });

  it("takes the name given, and leaves out a time up that is not known", async () => {
    rmSync(join(root, "proc/uptime"));
    rmSync(join(root, "proc/sys"), { recursive: true });
    expect((await hardware("--node", "c1")).out).toBe(`NodeName=c1 ${COUNTS}\n`);
  });

  it("asks for a name where the files tell none", async () => {
    rmSync(join(root, "proc/sys"), { recursive: true });
    await expect(hardware()).rejects.toMatchObject({ code: "argument-invalid", fix: "give it: --node NAME" });
  });

  it("complains where slurmd does", async () => {
    rmSync(join(root, "sys"), { recursive: true });
    writeSysfsTree(root, { levels: "package:1 core:2 pu:2", offline: "3" });
    write("proc/meminfo", "MemTotal:       134217724 kB\n");
    expect((await hardware()).err).toBe(
      "muster-agent: error: Thread count (3) not multiple of core count (2)\n",
    );
  });

  it("says that a directory without a machine's files is none", async () => {
    rmSync(join(root, "sys"), { recursive: true });
    await expect(hardware()).rejects.toMatchObject({
      code: "hardware-unreadable",
      message: `${root}/sys/devices/system/cpu tells of no CPUs that Slurm could count`,
    });
  });

  it("says that memory is not told", async () => {
    rmSync(join(root, "proc/meminfo"));
    await expect(hardware()).rejects.toMatchObject({
      code: "hardware-unreadable",
      message: `${root}/proc/meminfo does not tell the size of memory`,
    });
  });

  it("prints the inventory as JSON, counted for the Slurm that was asked for", async () => {
    const { out } = await hardware("--json", "--parameters", "numa_node_as_socket");
    const report = JSON.parse(out) as HardwareReport;
    expect(report.schema).toBe(1);
    expect(report.slurm).toEqual({
      cpus: 8,
      boards: 1,
      socketsPerBoard: 2,
      coresPerSocket: 2,
      threadsPerCore: 2,
      realMemoryMib: 131_072,
      gres: [],
    });
  });

  it("explains itself", async () => {
    const { out, exit } = await hardware("--help");
    expect(exit).toBe(0);
    expect(out).toContain("muster-agent hardware [--slurm-version V]");
  });
});
