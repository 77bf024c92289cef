import { MusterError } from "#proto/contract/muster-error.ts";
import { runOnTerminal } from "#proto/host/run-command.ts";

/**
 * Opens a file in $VISUAL or $EDITOR (vi without), and waits for its end. The words of the variable are the shell's affair, as for
 * git: EDITOR='code --wait'. While it runs, Ctrl-C is the editor's. `command-failed` when it does not end well.
 */
export async function openEditor(
  path: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const editor =
    [env["VISUAL"], env["EDITOR"]].find((word) => word !== undefined && word.trim() !== "") ?? "vi";
  const listeners = process.listeners("SIGINT");
  const ignore = (): void => undefined;
  process.on("SIGINT", ignore);
  for (const listener of listeners) process.removeListener("SIGINT", listener);
  try {
    const exitCode = await runOnTerminal({ program: "sh", args: ["-c", `${editor} "$@"`, "sh", path] });
    if (exitCode === 0) return;
    throw new MusterError({
      code: "command-failed",
      what: `${editor} ended with exit status ${exitCode}`,
      fix: "set EDITOR to an editor that is installed",
    });
  } finally {
    for (const listener of listeners) process.once("SIGINT", listener);
    process.removeListener("SIGINT", ignore);
  }
}
