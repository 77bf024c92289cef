import type { Command } from "commander";

import type { CommandRunner } from "../command-runner.ts";

/** `muster overlay`, and `muster node refresh` below `node`. */
export function addOverlayCommands(program: Command, node: Command, run: CommandRunner): void {
  const overlay = program.command("overlay").description("files laid over images, and kept true on nodes");
  overlay
    .command("list")
    .description("static overlays of this controller and who has them")
    .action(run(async () => (await import("./overlay-commands.ts")).listOverlays));
  overlay
    .command("status")
    .argument("[nodeset]", "names: c[001-064]")
    .description("how nodes stand to their runtime overlays; exit status 1 when one is not current")
    .action(run(async () => (await import("./overlay-commands.ts")).showOverlayStatus));
  node
    .command("refresh")
    .argument("<nodeset>", "names: c[001-064]")
    .description(
      "have nodes look at their runtime overlay now; exit status 1 when one could not be asked or failed",
    )
    .option("--wait", "until each is done, with what it did")
    .option("--timeout <duration>", "how long to wait: 30s, 5m, 1h", "60s")
    .action(run(async () => (await import("./overlay-commands.ts")).refreshNodes));
}
