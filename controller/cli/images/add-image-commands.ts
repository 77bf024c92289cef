import type { Command } from "commander";

import type { CommandRunner } from "../command-runner.ts";

/** `muster image ...` */
export function addImageCommands(program: Command, run: CommandRunner): void {
  const image = program.command("image").description("the root file systems that nodes boot");
  image
    .command("list")
    .description("images and the version nodes boot")
    .action(run(async () => (await import("./image-commands.ts")).listImages));
  image
    .command("show")
    .argument("<image>", "its name")
    .description("the versions of an image")
    .action(run(async () => (await import("./image-commands.ts")).showImage));
  image
    .command("import")
    .argument("<directory>", "the tree: what is to be / on the nodes")
    .description("pack a directory tree as the next version of an image (as root, to keep its owners)")
    .requiredOption("--name <image>", "the image")
    .option(
      "--temporary-directory <path>",
      "where the packed image lies until it is uploaded (default: TMPDIR)",
    )
    .action(run(async () => (await import("./import-command.ts")).importTree));
  image
    .command("channel")
    .description("names for versions")
    .command("set")
    .argument("<image>", "its name")
    .argument("<channel>", "stable is what nodes boot")
    .argument("<version>", "a number, as `muster image show` has it")
    .description("move a channel to a version")
    .action(run(async () => (await import("./image-commands.ts")).setChannel));
  image
    .command("delete")
    .argument("<image>", "its name")
    .description("delete an image, or one version")
    .option("--version <number>", "only this version")
    .option("-y, --yes", "do not ask")
    .action(run(async () => (await import("./image-commands.ts")).deleteImage));
}

/** `muster initramfs list`. */
export function addInitramfsCommands(program: Command, run: CommandRunner): void {
  program
    .command("initramfs")
    .description("what nodes load first")
    .command("list")
    .argument("<what>", "an archive, a directory of archives, or an image")
    .description("what is inside, with sizes")
    .action(run(async () => (await import("./initramfs-command.ts")).listInitramfs));
}
