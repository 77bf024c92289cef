import type { Command } from "commander";

import { addCommitOptions } from "../changes/add-commit-options.ts";
import { commandGroup } from "../command-group.ts";
import type { CommandRunner } from "../command-runner.ts";

/** `muster export` and `muster apply`: the inventory as text. */
export function addTextCommands(program: Command, run: CommandRunner): void {
  commandGroup(program, "export", "the inventory as text")
    .argument("[target]", "file or directory; absent or -: standard output")
    .option(
      "--directory",
      "a file for each node and profile: TARGET/nodes/NAME.yaml, TARGET/profiles/NAME.yaml",
    )
    .option("--nodes <nodeset>", "only these nodes, without profiles")
    .option("--at <time>", "as it was then: '2 days ago', 2026-11-18, 'change 17'")
    .option("--secrets", "with passwords in clear")
    .action(run(async () => (await import("./export-command.ts")).exportText));
  addCommitOptions(
    program
      .command("apply")
      .description(
        "make nodes and profiles what a text says, in one change, after showing what will be different",
      )
      .requiredOption(
        "-f, --file <path>",
        "file, directory of `muster export --directory`, or - for standard input",
      )
      .option("--prune", "delete the nodes and profiles that the text does not have"),
  ).action(run(async () => (await import("./apply-command.ts")).applyText));
}

/** `muster node edit`. */
export function addNodeEditCommand(node: Command, run: CommandRunner): void {
  addCommitOptions(
    node
      .command("edit")
      .argument("<nodeset>", "names: c[001-064], @profile:gpu")
      .description(
        "change nodes in $VISUAL or $EDITOR; what is wrong is told at its line, nothing typed is lost",
      ),
  ).action(run(async () => (await import("./edit-commands.ts")).editNodes));
}

/** `muster profile edit`. */
export function addProfileEditCommand(profile: Command, run: CommandRunner): void {
  addCommitOptions(
    profile
      .command("edit")
      .argument("<profiles>", "names, with commas between")
      .description(
        "change profiles in $VISUAL or $EDITOR; what is wrong is told at its line, nothing typed is lost",
      ),
  ).action(run(async () => (await import("./edit-commands.ts")).editProfiles));
}
