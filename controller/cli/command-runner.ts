import type { CliContext } from "./cli-context.ts";

/** Runs a command with its context; the number is the exit status. */
export type RunCommand<A extends unknown[]> = (context: CliContext, ...args: A) => Promise<number>;

/** Makes commander's action of a command that is loaded when it runs. */
export type CommandRunner = <A extends unknown[]>(
  load: () => Promise<RunCommand<A>>,
) => (...given: unknown[]) => Promise<void>;
