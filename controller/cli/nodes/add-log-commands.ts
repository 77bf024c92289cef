import type { Command } from "commander";

import type { CommandRunner } from "../command-runner.ts";

/** `muster node logs`, below `node`. */
export function addLogCommands(node: Command, run: CommandRunner): void {
  node
    .command("logs")
    .argument("<node>", "its name")
    .description("what a node said: its boot, its agent, reactions of overlays")
    .option("--boot <id>", "only this boot, an id or how it begins; with the kernel log if it failed")
    .option("--follow", "go on as it comes, until Ctrl-C")
    .option("--limit <count>", "how many of the last lines", "200")
    .action(run(async () => (await import("./log-command.ts")).showLogs));
}
