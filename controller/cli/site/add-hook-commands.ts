import { type Command, Option } from "commander";

import { HOOK_EVENTS } from "../../hooks/hook-event.ts";
import type { CommandRunner } from "../command-runner.ts";

/** `muster hook`. */
export function addHookCommands(program: Command, run: CommandRunner): void {
  const hook = program.command("hook").description("programs that are run when something happens");
  hook
    .command("list")
    .description("what is in hooks.d, and how each ran last")
    .action(run(async () => (await import("./hook-commands.ts")).listHooks));
  hook
    .command("run")
    .addArgument(hook.createArgument("<event>", "what to tell them of").choices([...HOOK_EVENTS]))
    .description("run all hooks now, as if that had happened; exit status 3 when one fails")
    .option("--node <nodeset>", "the nodes it happened to")
    .addOption(new Option("--change <number>", "of change-committed (default: the last one)"))
    .option("--dry-run", "print what they would read on standard input; run nothing")
    .action(run(async () => (await import("./hook-commands.ts")).runHooks));
}
