import { Command, Option } from "commander";

import { addNodeFieldCommands, addProfileCommands } from "./records/add-field-commands.ts";
import { addExchangeCommands } from "./exchange/add-exchange-commands.ts";
import { addFormatCommands } from "./exchange/add-format-commands.ts";
import { addHardwareCommands } from "./hardware/add-hardware-commands.ts";
import { addIdentityCommands } from "./nodes/add-identity-commands.ts";
import { addLifeCommands, addMachineCommands } from "./nodes/add-life-commands.ts";
import { addLogCommands } from "./nodes/add-log-commands.ts";
import { addNodeSetCommands } from "./node-sets/add-node-set-commands.ts";
import { addOverlayCommands } from "./overlays/add-overlay-commands.ts";
import { addRebootCommands } from "./reboot/add-reboot-commands.ts";
import { addSshCommands } from "./ssh/add-ssh-commands.ts";
import type { CliContext, OutputFormat } from "./cli-context.ts";
import { addNodeEditCommand, addProfileEditCommand, addTextCommands } from "./text/add-text-commands.ts";
import { commandGroup } from "./command-group.ts";
import type { CommandRunner, RunCommand } from "./command-runner.ts";
import { acceptListFormats, LIST_FORMATS, type ListFormat, readListFormat } from "./list-format.ts";

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
  acceptListFormats(node.command("list"))
    .argument("[nodeset]", "names: c[001-064],login")
    .description("nodes and what they do")
    .addOption(
      new Option("--state <state>", "only nodes in this state").choices([
        "new",
        "booting",
        "ready",
        "unreachable",
        "failed",
      ]),
    )
    .option("--up", "only nodes that are ready")
    .addOption(
      new Option("--mpi <kind>", "whose host file -o mpi is: c001 slots=64, or c001:64")
        .choices(["openmpi", "mpich"])
        .default("openmpi"),
    )
    .option("--watch", "show it again every second, until Ctrl-C")
    .action(run(async () => (await import("./nodes/node-commands.ts")).listNodes));
  addNodeFieldCommands(node, run);
  addNodeEditCommand(node, run);
  node
    .command("pending")
    .description("machines that wait for approval")
    .action(run(async () => (await import("./nodes/pending-commands.ts")).listPending));
  node
    .command("approve")
    .argument("<code...>", "claim codes, from the consoles or `muster node pending`")
    .description("make waiting machines nodes; they boot on at once")
    .requiredOption("--name <nodeset>", "their names, in the order of the codes")
    .option("--image <name>", "image they boot")
    .option("--overlay <name>", "system overlay; again for more, in order", collect)
    .option(
      "--runtime-overlay <name>",
      "overlay kept true while they are up; again for more, in order",
      collect,
    )
    .action(run(async () => (await import("./nodes/pending-commands.ts")).approvePending));
  node
    .command("reject")
    .argument("<code>", "claim code")
    .description("turn a waiting machine away")
    .action(run(async () => (await import("./nodes/pending-commands.ts")).rejectPending));
  node
    .command("boots")
    .argument("<nodeset>", "names: c001, c[001-064]")
    .description("the last boots, stage by stage, newest first")
    .option("--limit <count>", "how many of each node", "3")
    .option("--kernel-log", "with the end of the kernel log of boots that failed")
    .action(run(async () => (await import("./nodes/node-commands.ts")).showBoots));
  addLogCommands(node, run);

  addRebootCommands(program, node, run);
  addHardwareCommands(program, run);
  addTextCommands(program, run);
  addFormatCommands(program, run);
  addExchangeCommands(program, run);
  addSshCommands(program, run);
  addIdentityCommands(node, run);
  addMachineCommands(node, run);
  addLifeCommands(program, run);
  addNodeSetCommands(program, run);

  const profile = commandGroup(program, "profile", "fields that many nodes have in common");
  addProfileCommands(profile, run);
  addProfileEditCommand(profile, run);
  const image = program.command("image").description("the root file systems that nodes boot");
  image
    .command("list")
    .description("images and the version nodes boot")
    .action(run(async () => (await import("./images/image-commands.ts")).listImages));
  image
    .command("show")
    .argument("<image>", "its name")
    .description("the versions of an image")
    .action(run(async () => (await import("./images/image-commands.ts")).showImage));
  image
    .command("import")
    .argument("<directory>", "the tree: what is to be / on the nodes")
    .description("pack a directory tree as the next version of an image (as root, to keep its owners)")
    .requiredOption("--name <image>", "the image")
    .option(
      "--temporary-directory <path>",
      "where the packed image lies until it is uploaded (default: TMPDIR)",
    )
    .action(run(async () => (await import("./images/import-command.ts")).importTree));
  image
    .command("channel")
    .description("names for versions")
    .command("set")
    .argument("<image>", "its name")
    .argument("<channel>", "stable is what nodes boot")
    .argument("<version>", "a number, as `muster image show` has it")
    .description("move a channel to a version")
    .action(run(async () => (await import("./images/image-commands.ts")).setChannel));
  image
    .command("delete")
    .argument("<image>", "its name")
    .description("delete an image, or one version")
    .option("--version <number>", "only this version")
    .option("-y, --yes", "do not ask")
    .action(run(async () => (await import("./images/image-commands.ts")).deleteImage));

  addOverlayCommands(program, node, run);
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
    .action(run(async () => (await import("./site/site-commands.ts")).showDhcp));
  program
    .command("events")
    .description("what happened, oldest first")
    .option("--follow", "go on as it happens, until Ctrl-C")
    .option("--node <node>", "only of this node")
    .option("--limit <count>", "how many of the last", "100")
    .action(run(async () => (await import("./site/site-commands.ts")).showEvents));
  program
    .command("doctor")
    .description("what would keep nodes from booting; exit status 3 when something would")
    .option("--config <file>", "musterd's configuration, read when musterd does not answer")
    .action(run(async () => (await import("./site/site-commands.ts")).runDoctor));
  program
    .command("initramfs")
    .description("what nodes load first")
    .command("list")
    .argument("<what>", "an archive, a directory of archives, or an image")
    .description("what is inside, with sizes")
    .action(run(async () => (await import("./images/initramfs-command.ts")).listInitramfs));

  const token = program.command("token").description("access to the API from elsewhere");
  token
    .command("create")
    .argument("<name>", "who or what it is for")
    .description("make a token and print it, once")
    .action(run(async () => (await import("./site/token-commands.ts")).createToken));
  token
    .command("list")
    .description("tokens by name")
    .action(run(async () => (await import("./site/token-commands.ts")).listTokens));
  token
    .command("delete")
    .argument("<token>", "its name")
    .description("void a token at once")
    .action(run(async () => (await import("./site/token-commands.ts")).deleteToken));

  program
    .command("config")
    .description("the controller's configuration")
    .command("check")
    .argument("[file]", "default /etc/muster/muster.yaml")
    .description("read muster.yaml and say everything that is wrong with it")
    .action(run(async () => (await import("./site/check-config-command.ts")).checkConfig));
  program
    .command("status")
    .description("the controller and its nodes in figures")
    .action(run(async () => (await import("./site/site-commands.ts")).showStatus));
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

/**
 * For options that may be given several times. Not commander's "<word...>", which would take the node set after
 * it (`muster node set --tag rack=1 c001`) for one more value.
 */
function collect(word: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), word];
}
