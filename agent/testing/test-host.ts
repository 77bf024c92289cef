import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import type { Command, CommandResult } from "#proto/host/run-command.ts";

import type { BootHost } from "../boot/boot-host.ts";
import { openConsole } from "../boot/console.ts";
import { hostPathsAt } from "../host-paths.ts";

/** A machine in a temporary directory: its clock advances only by sleeping, its programs are a function. */
export interface TestHost extends BootHost, AsyncDisposable {
  readonly root: string;
  /** Console lines without the time. */
  readonly lines: string[];
  readonly commands: string[];
  /** Everything slept, in milliseconds. */
  readonly slept: number[];
  readonly write: (path: string, content: string) => Promise<void>;
}

const DONE: CommandResult = { exitCode: 0, stdout: "", stderr: "" };

export async function makeTestHost(
  run: (command: Command) => Promise<Partial<CommandResult> | undefined> = async () => undefined,
): Promise<TestHost> {
  const root = await mkdtemp(join(tmpdir(), "muster-host-"));
  const lines: string[] = [];
  const commands: string[] = [];
  const slept: number[] = [];
  let clock = 5000;
  const uptimeMs = (): number => clock;
  return {
    root,
    lines,
    commands,
    slept,
    paths: hostPathsAt(root),
    console: openConsole((text) => lines.push(text.replace(/^\[.*?\] muster: /, "").trimEnd()), uptimeMs),
    uptimeMs,
    now: () => 1_000_000,
    random: () => 0,
    sleep: async (ms, signal) => {
      signal.throwIfAborted();
      slept.push(ms);
      clock += ms;
    },
    run: async (command) => {
      commands.push([command.program, ...command.args].join(" ").replaceAll(root, ""));
      return { ...DONE, ...(await run(command)) };
    },
    write: async (path, content) => {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content);
    },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}
