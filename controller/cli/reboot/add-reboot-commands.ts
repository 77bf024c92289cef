import { type Command, Option } from "commander";

import { CHECK_NAMES } from "#proto/contract/check-verdict.ts";

import type { CommandRunner } from "../command-runner.ts";

/** `muster reboot`, and `muster node check` below `node`. */
export function addRebootCommands(program: Command, node: Command, run: CommandRunner): void {
  node
    .command("check")
    .argument("<nodeset>", "names: c[001-064]")
    .description("ask running nodes whether they are as they should be; exit status 1 when one is not")
    .addOption(new Option("--check <check>", "only this one").choices([...CHECK_NAMES]))
    .action(run(async () => (await import("./check-command.ts")).checkNodes));
  program
    .command("reboot")
    .argument("<nodeset>", "names: c[001-064]")
    .description("restart running nodes; exit status 1 when one could not be asked or did not come back")
    .option("--plan", "only say what would happen to each")
    .option("--wait", "until each is ready again")
    .option("--timeout <duration>", "how long to wait: 90s, 15m, 1h", "15m")
    .option("--force", "do not wait for services to stop")
    .option("-m, --message <reason>", "why, for the events and the journals of the nodes")
    .option("-y, --yes", "do not ask")
    .action(run(async () => (await import("./reboot-command.ts")).rebootNodes));
}
