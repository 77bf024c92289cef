import { TEST_NOW } from "../api/rest/api-test-site.ts";
import type { CliProcess } from "./cli-context.ts";
import { runCli } from "./run-cli.ts";

/**
 * For tests: a command line as a shell splits it, typed where the controller's socket is, and all that comes of it as one
 * text: "$ muster ...", output, errors after "2> ", the exit status in brackets. `more.out` and `more.err` hear of it too.
 */
export async function typeCommand(
  socket: string,
  line: string,
  more: Partial<CliProcess> = {},
): Promise<string> {
  let shown = `$ muster ${line}\n`;
  const exit = await runCli({
    args: (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'(.*)'$/, "$1")),
    env: { MUSTER_SOCKET: socket },
    outIsTerminal: false,
    errIsTerminal: false,
    now: () => TEST_NOW,
    ask: async () => undefined,
    wait: async () => undefined,
    signal: new AbortController().signal,
    userId: 0,
    initramfsCommand: ["false"],
    artifacts: "/nonexistent",
    ...more,
    out: (text) => {
      shown += text;
      more.out?.(text);
    },
    err: (text) => {
      shown += text.replaceAll(/^/gm, "2> ").replace(/2> $/, "");
      more.err?.(text);
    },
  });
  return `${shown}[${exit}]\n`;
}
