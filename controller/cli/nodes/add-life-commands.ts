import { type Command, Option } from "commander";

import { HOOK_EVENTS } from "../../hooks/hook-event.ts";
import { addCommitOptions } from "../changes/add-commit-options.ts";
import type { CommandRunner } from "../command-runner.ts";

/** `muster history`, `muster undo`, `muster hook`. */
export function addLifeCommands(program: Command, run: CommandRunner): void {
  program
    .command("history")
    .argument("[record]", "a node, or profile:NAME")
    .description("who changed what, when and why; newest first")
    .option("--limit <count>", "how many of the last (default: 20; with --since all)")
    .option("--since <time>", "not older: '2 days ago', 2026-11-20 12:00")
    .option("--change <number>", "every field that one change touched, before and after")
    .action(run(async () => (await import("../changes/history-commands.ts")).showHistory));
  addCommitOptions(
    program
      .command("undo")
      .argument("<change>", "its number: muster history")
      .description("put back what a change did to nodes and profiles; itself a change"),
  ).action(run(async () => (await import("../changes/history-commands.ts")).undoChange));
  const hook = program.command("hook").description("programs that are run when something happens");
  hook
    .command("list")
    .description("what is in hooks.d, and how each ran last")
    .action(run(async () => (await import("../site/hook-commands.ts")).listHooks));
  hook
    .command("run")
    .addArgument(hook.createArgument("<event>", "what to tell them of").choices([...HOOK_EVENTS]))
    .description("run all hooks now, as if that had happened; exit status 3 when one fails")
    .option("--node <nodeset>", "the nodes it happened to")
    .addOption(new Option("--change <number>", "of change-committed (default: the last one)"))
    .option("--dry-run", "print what they would read on standard input; run nothing")
    .action(run(async () => (await import("../site/hook-commands.ts")).runHooks));
}

/** `muster node replace`, `muster node swap`, `muster node refused`. */
export function addMachineCommands(node: Command, run: CommandRunner): void {
  addCommitOptions(
    node
      .command("replace")
      .argument("<node>", "its name")
      .description("another machine is this node from now on; the one that was is refused")
      .requiredOption("--mac <address>", "MAC that the new machine boots with")
      .option("--serial <serial>", "its serial number"),
  ).action(run(async () => (await import("./machine-commands.ts")).replaceMachine));
  addCommitOptions(
    node
      .command("swap")
      .argument("<node>", "a node")
      .argument("<other-node>", "the node whose machine it gets, and which gets its own")
      .description("exchange the machines behind two nodes"),
  ).action(run(async () => (await import("./machine-commands.ts")).swapMachines));
  const refused = node.command("refused").description("machines that were replaced, and are not let in");
  refused
    .command("list")
    .description("which, by whom and why")
    .action(run(async () => (await import("./machine-commands.ts")).listRefused));
  refused
    .command("readmit")
    .argument("<mac>", "as the list shows it")
    .description("let a machine ask to enrol again")
    .option("-m, --message <text>", "why, for the history")
    .action(run(async () => (await import("./machine-commands.ts")).readmitMachine));
}
