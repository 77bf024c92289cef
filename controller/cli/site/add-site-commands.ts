import { type Command, Option } from "commander";

import type { CommandRunner } from "../command-runner.ts";

/** `muster dhcp show`, `events`, `doctor`. */
export function addSiteCommands(program: Command, run: CommandRunner): void {
  program
    .command("dhcp")
    .description("DHCP and TFTP")
    .command("show")
    .description("what to put into the site's own DHCP server (dhcp.mode: external)")
    .addOption(
      new Option("--format <server>", "for which server")
        .choices(["dnsmasq", "isc", "kea"])
        .default("dnsmasq"),
    )
    .action(run(async () => (await import("./site-commands.ts")).showDhcp));
  program
    .command("events")
    .description("what happened, oldest first")
    .option("--follow", "go on as it happens, until Ctrl-C")
    .option("--node <node>", "only of this node")
    .option("--limit <count>", "how many of the last", "100")
    .action(run(async () => (await import("./site-commands.ts")).showEvents));
  program
    .command("doctor")
    .description("what would keep nodes from booting; exit status 3 when something would")
    .option("--config <file>", "musterd's configuration, read when musterd does not answer")
    .action(run(async () => (await import("./site-commands.ts")).runDoctor));
}

/** `muster token ...` */
export function addTokenCommands(program: Command, run: CommandRunner): void {
  const token = program.command("token").description("access to the API from elsewhere");
  token
    .command("create")
    .argument("<name>", "who or what it is for")
    .description("make a token and print it, once")
    .action(run(async () => (await import("./token-commands.ts")).createToken));
  token
    .command("list")
    .description("tokens by name")
    .action(run(async () => (await import("./token-commands.ts")).listTokens));
  token
    .command("delete")
    .argument("<token>", "its name")
    .description("void a token at once")
    .action(run(async () => (await import("./token-commands.ts")).deleteToken));
}

/** `muster config check`, `muster status`. */
export function addStatusCommands(program: Command, run: CommandRunner): void {
  program
    .command("config")
    .description("the controller's configuration")
    .command("check")
    .argument("[file]", "default /etc/muster/muster.yaml")
    .description("read muster.yaml and say everything that is wrong with it")
    .action(run(async () => (await import("./check-config-command.ts")).checkConfig));
  program
    .command("status")
    .description("the controller and its nodes in figures")
    .action(run(async () => (await import("./site-commands.ts")).showStatus));
}
