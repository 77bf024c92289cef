import type { Command } from "commander";

import type { CommandRunner } from "../command-runner.ts";

/** `muster node revoke` and `muster node clear-alert`. */
export function addIdentityCommands(node: Command, run: CommandRunner): void {
  node
    .command("revoke")
    .argument("<nodeset>", "names: c[001-064]")
    .description("void the identity of the nodes' present boots at once; their next boots get new ones")
    .option("-m, --message <reason>", "why, for the nodes' logs, the events and the history")
    .option("-y, --yes", "do not ask")
    .action(run(async () => (await import("./identity-commands.ts")).revokeNodes));
  node
    .command("clear-alert")
    .argument("<nodeset>", "names: c[001-064]")
    .description("what a node is shown in red for is settled")
    .action(run(async () => (await import("./identity-commands.ts")).clearAlerts));
}
