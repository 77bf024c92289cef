import { runCommandUnchecked } from "#proto/host/run-command.ts";

import { runHardwareCommand } from "./hardware/hardware-command.ts";
import { tellError } from "./tell-error.ts";

// Where the program begins. `hardware` is called like slurmd -C, also by scripts on many nodes, and needs nothing of the
// network: without gRPC and all it brings the command takes 30 ms instead of 65. The import() below is none at run
// time: the bundler puts the module into the same file, as a function that is called there.
if (process.argv[2] === "hardware") void printHardware(process.argv.slice(3));
else void import("./main.ts");

async function printHardware(args: readonly string[]): Promise<void> {
  const host = {
    write: (text: string) => process.stdout.write(text),
    writeError: (text: string) => process.stderr.write(text),
    run: runCommandUnchecked,
  };
  try {
    process.exit(await runHardwareCommand(args, host, new AbortController().signal));
  } catch (error) {
    process.exit(tellError(error));
  }
}
