import type { Command } from "commander";

import type { CommandRunner } from "../command-runner.ts";

/** `muster hardware ...` */
export function addHardwareCommands(program: Command, run: CommandRunner): void {
  const hardware = program
    .command("hardware")
    .description("what the machines of nodes are, as their agents report it");
  hardware
    .command("list")
    .argument("[nodeset]", "names: c[001-064],login")
    .description("machines, one line each")
    .action(run(async () => (await import("./hardware-commands.ts")).listHardware));
  hardware
    .command("show")
    .argument("<nodeset>", "names: c001, c[001-064]")
    .description("everything about machines; -o json prints the reports")
    .action(run(async () => (await import("./hardware-commands.ts")).showHardware));
  hardware
    .command("diff")
    .argument("<nodeset>", "names: c001, c[001-064]")
    .description(
      "one node: what changed since its boot before; several: which differ from what most have. Exit status 3 when something differs",
    )
    .action(run(async () => (await import("./hardware-commands.ts")).diffHardware));
  hardware
    .command("slurm-conf")
    .argument("<nodeset>", "names: c[001-064]")
    .description("lines for slurm.conf and gres.conf, with the values slurmd -C prints on the nodes")
    .option("--round-memory <mib>", "round RealMemory down to a multiple of this", "1")
    .addHelpText(
      "after",
      "\nSlurm drains a node that has less memory than its RealMemory. A new kernel or firmware can keep a few\n" +
        "MiB more for itself: --round-memory 1024 leaves room for that, and puts nodes on one line that differ so little.",
    )
    .action(run(async () => (await import("./hardware-commands.ts")).printSlurmConf));
}
