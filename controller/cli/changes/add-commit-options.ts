import type { Command } from "commander";

/** Gives a command the options of `previewAndCommit`. */
export function addCommitOptions(command: Command): Command {
  return command
    .option("-y, --yes", "do not ask")
    .option("--dry-run", "show what would be different and have it checked; change nothing")
    .option("-m, --message <text>", "why, for the history");
}
