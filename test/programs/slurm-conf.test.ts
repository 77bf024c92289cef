import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { runCommandUnchecked } from "#proto/host/run-command.ts";

import { makeTestReport } from "../../controller/hardware/make-test-report.ts";
import { planSlurmConf, renderSlurmConf } from "../../controller/hardware/plan-slurm-conf.ts";

const NAMES = [
  ...["c001", "c002", "c010", "n9", "n10", "login", "gpu1a", "gpu2a"],
  ...["unit1rack7", "unit2rack7", "r1n01", "r1n02", "r2n01", "r2n02"],
];
const GRES = { name: "gpu", type: "nvidia_a100-sxm4-40gb", count: 2, files: "/dev/nvidia[0-1]" } as const;

test("Slurm's own slurmd finds every node and its GPUs in the lines to paste", async () => {
  const directory = await mkdtemp(join(tmpdir(), "muster-slurm-"));
  try {
    const { slurm } = makeTestReport();
    const report = makeTestReport({ slurm: { ...slurm, gres: [GRES] } });
    const text = renderSlurmConf(
      planSlurmConf(
        NAMES.map((node) => ({ node, report })),
        1024,
      ),
    );
    const [slurmConf = "", gresConf = ""] = text.split("# gres.conf");
    const rest = [
      "ClusterName=test",
      "SlurmctldHost=localhost",
      "SlurmUser=root",
      "AuthType=auth/none",
      `SlurmdSpoolDir=${directory}`,
      `StateSaveLocation=${directory}`,
      "PartitionName=all Nodes=ALL",
    ];
    const path = join(directory, "slurm.conf");
    await writeFile(path, `${slurmConf}${rest.join("\n")}\n`);
    // slurmd looks for the device files; this machine has terminals and no GPUs.
    await writeFile(join(directory, "gres.conf"), gresConf.replaceAll("/dev/nvidia", "/dev/tty"));
    const found: string[] = [];
    for (const name of NAMES) {
      const args = ["-N", name, "-f", path, "-G"];
      const { stderr } = await runCommandUnchecked({ program: "slurmd", args, deadlineMs: 10_000 });
      if (/Gres Name=gpu Type=nvidia_a100-sxm4-40gb Count=2 /.test(stderr)) found.push(name);
      else found.push(`${name}: ${stderr}`);
    }
    expect(found).toEqual(NAMES);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}, 60_000);
