import type { CliContext } from "../cli-context.ts";

/** A line on a terminal's standard error that tells what a command is at, once it has taken a second. */
export interface LateProgress extends AsyncDisposable {
  say(what: string): void;
  /** Takes the line away: something else will be printed. */
  end(): void;
}

const QUIET_MS = 1000;
const CLEAR_LINE = "\r\u001b[K";

/** Nothing is shown where standard error is no terminal: logs want results. */
export function showLateProgress({ process }: CliContext): LateProgress {
  const started = process.now().getTime();
  let isShown = false;
  const end = (): void => {
    if (isShown) process.err(CLEAR_LINE);
    isShown = false;
  };
  return {
    say: (what) => {
      if (!process.errIsTerminal || process.now().getTime() - started < QUIET_MS) return;
      process.err(`${CLEAR_LINE}${what} ...`);
      isShown = true;
    },
    end,
    [Symbol.asyncDispose]: async () => {
      end();
    },
  };
}
