import { Command, Option } from "commander";

import type { CliContext, OutputFormat } from "./cli-context.ts";
import { commandGroup } from "./command-group.ts";
import type { CommandRunner, RunCommand } from "./command-runner.ts";
import { LIST_FORMATS, type ListFormat, readListFormat } from "./list-format.ts";
import { addHistoryCommands } from "./changes/add-history-commands.ts";
import { addExchangeCommands } from "./exchange/add-exchange-commands.ts";
import { addFormatCommands } from "./exchange/add-format-commands.ts";
import { addHardwareCommands } from "./hardware/add-hardware-commands.ts";
import { addImageCommands, addInitramfsCommands } from "./images/add-image-commands.ts";
import { addNodeSetCommands } from "./node-sets/add-node-set-commands.ts";
import { addIdentityCommands } from "./nodes/add-identity-commands.ts";
import { addLogCommands } from "./nodes/add-log-commands.ts";
import { addMachineCommands } from "./nodes/add-machine-commands.ts";
import { addBootsCommand, addNodeListCommand, addPendingCommands } from "./nodes/add-node-commands.ts";
import { addOverlayCommands } from "./overlays/add-overlay-commands.ts";
import { addRebootCommands } from "./reboot/add-reboot-commands.ts";
import { addNodeFieldCommands, addProfileCommands } from "./records/add-field-commands.ts";
import { addHookCommands } from "./site/add-hook-commands.ts";
import { addSiteCommands, addStatusCommands, addTokenCommands } from "./site/add-site-commands.ts";
import { addSshCommands } from "./ssh/add-ssh-commands.ts";
import { addNodeEditCommand, addProfileEditCommand, addTextCommands } from "./text/add-text-commands.ts";

/** The options every command has. */
export interface GlobalOptions {
  readonly output: OutputFormat;
  /** Of `muster node list`, in place of `output`. */
  readonly listFormat?: ListFormat;
  readonly socket?: string;
  readonly controller?: string;
  readonly token?: string;
  readonly caFingerprint?: string;
}

/** Makes the context of a command from the options it was given. */
export type ContextMaker = (options: GlobalOptions) => CliContext;

/**
 * The tree of all commands, with nothing behind them loaded: what a command needs is imported when it runs,
 * so that `muster version` and completion stay fast. `ended` is told the exit status of the command that ran.
 */
export function buildProgram(makeContext: ContextMaker, ended: (exitCode: number) => void): Command {
  const program = new Command("muster")
    .description("Operates a cluster: nodes, images, boots")
    .addOption(
      new Option("-o, --output <format>", "how to print data; the last five: lists of nodes")
        .choices(["table", "json", "yaml", ...LIST_FORMATS])
        .default("table"),
    )
    .option("--socket <path>", "the controller's socket (MUSTER_SOCKET)")
    .option("--controller <url>", "a controller elsewhere, https://HOST:9884 (MUSTER_CONTROLLER)")
    .option("--token <token>", "its token; better in MUSTER_TOKEN, where no process list shows it")
    .option("--ca-fingerprint <hex>", "SHA-256 of its authority, from `muster status` there (MUSTER_CA)")
    .helpCommand("help [command]", "help for a command");

  /** Adapts a function of context, arguments and options to commander. */
  const run: CommandRunner =
    <A extends unknown[]>(load: () => Promise<RunCommand<A>>) =>
    async (...given: unknown[]): Promise<void> => {
      const command = given.pop() as Command;
      const options: GlobalOptions = command.optsWithGlobals();
      const listFormat = readListFormat(command, options.output);
      const context = makeContext(
        listFormat === undefined ? options : { ...options, output: "table", listFormat },
      );
      const action = await load();
      try {
        ended(await action(context, ...(given as A)));
      } finally {
        await context.api[Symbol.asyncDispose]();
      }
    };

  const node = program.command("node").description("the machines of the cluster");
  addNodeListCommand(node, run);
  addNodeFieldCommands(node, run);
  addNodeEditCommand(node, run);
  addPendingCommands(node, run);
  addBootsCommand(node, run);
  addLogCommands(node, run);

  addRebootCommands(program, node, run);
  addHardwareCommands(program, run);
  addTextCommands(program, run);
  addFormatCommands(program, run);
  addExchangeCommands(program, run);
  addSshCommands(program, run);
  addIdentityCommands(node, run);
  addMachineCommands(node, run);
  addHistoryCommands(program, run);
  addHookCommands(program, run);
  addNodeSetCommands(program, run);

  const profile = commandGroup(program, "profile", "fields that many nodes have in common");
  addProfileCommands(profile, run);
  addProfileEditCommand(profile, run);
  addImageCommands(program, run);
  addOverlayCommands(program, node, run);
  addSiteCommands(program, run);
  addInitramfsCommands(program, run);
  addTokenCommands(program, run);
  addStatusCommands(program, run);
  program
    .command("version")
    .description("version of this program")
    .action(
      run<[]>(async () => async (context) => {
        await context.print({ version: context.version }, () => `muster ${context.version}\n`);
        return 0;
      }),
    );
  program
    .command("completion")
    .argument("<shell>", "bash")
    .description("a script for the shell: source <(muster completion bash)")
    .action(run(async () => (await import("./completion-commands.ts")).printCompletion));
  program
    .command("__complete", { hidden: true })
    .argument("[words...]", "the line so far; the last word is the one to complete")
    .allowUnknownOption()
    .action(
      run<[readonly string[]]>(async () => {
        const { complete } = await import("./completion-commands.ts");
        return async (context, words) => complete(context, program, words);
      }),
    );
  return program;
}
