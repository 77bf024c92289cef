import type { Command } from "commander";

import { addCommitOptions } from "../changes/add-commit-options.ts";
import type { CommandRunner } from "../command-runner.ts";

/** `muster node replace`, `muster node swap`, `muster node refused`. */
export function addMachineCommands(node: Command, run: CommandRunner): void {
  addCommitOptions(
    node
      .command("replace")
      .argument("<node>", "its name")
      .description("another machine is this node from now on; the one that was is refused")
      .requiredOption("--mac <address>", "MAC that the new machine boots with")
      .option("--serial <serial>", "its serial number"),
  ).action(run(async () => (await import("./machine-commands.ts")).replaceMachine));
  addCommitOptions(
    node
      .command("swap")
      .argument("<node>", "a node")
      .argument("<other-node>", "the node whose machine it gets, and which gets its own")
      .description("exchange the machines behind two nodes"),
  ).action(run(async () => (await import("./machine-commands.ts")).swapMachines));
  const refused = node.command("refused").description("machines that were replaced, and are not let in");
  refused
    .command("list")
    .description("which, by whom and why")
    .action(run(async () => (await import("./machine-commands.ts")).listRefused));
  refused
    .command("readmit")
    .argument("<mac>", "as the list shows it")
    .description("let a machine ask to enrol again")
    .option("-m, --message <text>", "why, for the history")
    .action(run(async () => (await import("./machine-commands.ts")).readmitMachine));
}
