import type { Command } from "commander";

import type { CommandRunner } from "../command-runner.ts";

/** `muster ssh` */
export function addSshCommands(program: Command, run: CommandRunner): void {
  program
    .command("ssh")
    .argument("<nodeset>", "names: c[001-064]")
    .argument("[command...]", "what to run; without it a shell on one node")
    .description("run a command on nodes with ssh, knowing their host keys from the controller")
    .option("-b, --fold", "when all are done, show what several nodes wrote once")
    .option("--fanout <count>", "nodes at a time", "32")
    .option("--timeout <seconds>", "close the connection of a node that is not done by then")
    .option("-l, --user <user>", "log in as this user")
    .option(
      "--ssh-option <key=value>",
      "an option of ssh_config(5); again for more",
      (word: string, before: readonly string[] | undefined) => [...(before ?? []), word],
    )
    .addHelpText(
      "after",
      "\nOptions of muster stand before the command: all that follows its first word is the node's.\n" +
        "Exit status: 0 when all were 0, otherwise the largest; 255 where a node could not be reached.",
    )
    .action(run(async () => (await import("./ssh-command.ts")).runSsh));
}
