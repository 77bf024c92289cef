import { type Command, Option } from "commander";

import type { CommandRunner } from "../command-runner.ts";
import { acceptListFormats } from "../list-format.ts";

/** `muster node list`. */
export function addNodeListCommand(node: Command, run: CommandRunner): void {
  acceptListFormats(node.command("list"))
    .argument("[nodeset]", "names: c[001-064],login")
    .description("nodes and what they do")
    .addOption(
      new Option("--state <state>", "only nodes in this state").choices([
        "new",
        "booting",
        "ready",
        "unreachable",
        "failed",
      ]),
    )
    .option("--up", "only nodes that are ready")
    .addOption(
      new Option("--mpi <kind>", "whose host file -o mpi is: c001 slots=64, or c001:64")
        .choices(["openmpi", "mpich"])
        .default("openmpi"),
    )
    .option("--watch", "show it again every second, until Ctrl-C")
    .action(run(async () => (await import("./node-commands.ts")).listNodes));
}

/** `muster node pending`, `approve`, `reject`. */
export function addPendingCommands(node: Command, run: CommandRunner): void {
  node
    .command("pending")
    .description("machines that wait for approval")
    .action(run(async () => (await import("./pending-commands.ts")).listPending));
  node
    .command("approve")
    .argument("<code...>", "claim codes, from the consoles or `muster node pending`")
    .description("make waiting machines nodes; they boot on at once")
    .requiredOption("--name <nodeset>", "their names, in the order of the codes")
    .option("--image <name>", "image they boot")
    .option("--overlay <name>", "system overlay; again for more, in order", collect)
    .option(
      "--runtime-overlay <name>",
      "overlay kept true while they are up; again for more, in order",
      collect,
    )
    .action(run(async () => (await import("./pending-commands.ts")).approvePending));
  node
    .command("reject")
    .argument("<code>", "claim code")
    .description("turn a waiting machine away")
    .action(run(async () => (await import("./pending-commands.ts")).rejectPending));
}

/** `muster node boots`. */
export function addBootsCommand(node: Command, run: CommandRunner): void {
  node
    .command("boots")
    .argument("<nodeset>", "names: c001, c[001-064]")
    .description("the last boots, stage by stage, newest first")
    .option("--limit <count>", "how many of each node", "3")
    .option("--kernel-log", "with the end of the kernel log of boots that failed")
    .action(run(async () => (await import("./node-commands.ts")).showBoots));
}

/**
 * For options that may be given several times. Not commander's "<word...>", which would take the node set after
 * it (`muster node set --tag rack=1 c001`) for one more value.
 */
function collect(word: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), word];
}
