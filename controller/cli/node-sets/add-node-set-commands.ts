import type { Command } from "commander";

import type { CommandRunner } from "../command-runner.ts";

/** `muster nodeset fold|expand|count|groups`: what nodeset(1) of ClusterShell is for, with this cluster's groups. */
export function addNodeSetCommands(program: Command, run: CommandRunner): void {
  const nodeset = program.command("nodeset").description("node sets for scripts: fold, expand, count");
  const sets = "c[001-064],@profile:gpu; several are a union; without any, read from standard input";
  nodeset
    .command("fold")
    .argument("[nodesets...]", sets)
    .description("write names as one node set")
    .action(run(async () => (await import("./node-set-commands.ts")).foldSet));
  nodeset
    .command("expand")
    .argument("[nodesets...]", sets)
    .description("write every name of node sets")
    .option("-S, --separator <text>", "what stands between the names", "\n")
    .action(run(async () => (await import("./node-set-commands.ts")).expandSet));
  nodeset
    .command("count")
    .argument("[nodesets...]", sets)
    .description("how many nodes there are in node sets")
    .action(run(async () => (await import("./node-set-commands.ts")).countSet));
  nodeset
    .command("groups")
    .description("the groups that node sets can name, and how many nodes are in each")
    .action(run(async () => (await import("./node-set-commands.ts")).listGroups));
}
