import type { Command } from "commander";

import type { CommandRunner } from "../command-runner.ts";
import { addCommitOptions } from "./add-commit-options.ts";

/** `muster history`, `muster undo`. */
export function addHistoryCommands(program: Command, run: CommandRunner): void {
  program
    .command("history")
    .argument("[record]", "a node, or profile:NAME")
    .description("who changed what, when and why; newest first")
    .option("--limit <count>", "how many of the last (default: 20; with --since all)")
    .option("--since <time>", "not older: '2 days ago', '2026-11-20 12:00', 'change 17'")
    .option("--change <number>", "every field that one change touched, before and after")
    .action(run(async () => (await import("./history-commands.ts")).showHistory));
  addCommitOptions(
    program
      .command("undo")
      .argument("<change>", "its number: muster history")
      .description("put back what a change did to nodes and profiles; itself a change"),
  ).action(run(async () => (await import("./history-commands.ts")).undoChange));
}
