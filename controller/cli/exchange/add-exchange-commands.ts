import { type Command, Option } from "commander";

import { addCommitOptions } from "../changes/add-commit-options.ts";
import { commandGroup } from "../command-group.ts";
import type { CommandRunner } from "../command-runner.ts";

/** `muster import warewulf`, `muster export warewulf` */
export function addExchangeCommands(program: Command, run: CommandRunner): void {
  const importing = commandGroup(program, "import", "take over an inventory that other programs kept");
  const exporting = commandGroup(program, "export", "the inventory as text");
  addCommitOptions(
    importing
      .command("warewulf")
      .argument("<file>", "nodes.conf of Warewulf 4.2 to 4.7; - for standard input")
      .description("take over nodes and profiles of Warewulf; what cannot be carried over is listed")
      .option("--conf <file>", "warewulf.conf: print what muster.yaml would say for this site")
      .addOption(
        new Option(
          "--format-version <version>",
          "version of Warewulf that wrote the file, when it is not the one it looks like",
        ).choices(["4.2", "4.3", "4.4", "4.5", "4.6", "4.7"]),
      ),
  ).action(run(async () => (await import("./import-warewulf-command.ts")).importWarewulf));
  exporting
    .command("warewulf")
    .description("nodes.conf of Warewulf 4.6 and 4.7; what it has no words for stands in comments")
    .option("--secrets", "with passwords in clear")
    .action(run(async () => (await import("./export-warewulf-command.ts")).exportWarewulf));
}
