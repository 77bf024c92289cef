/** The lines an operator reads on the console of a node. */
export interface BootConsole {
  /** One line: "[   12.345] muster: text". */
  line(text: string): void;
}

/**
 * Text that came over the network goes through here too, so control characters are taken out: a controller
 * (or somebody who pretends to be one) must not be able to drive the terminal.
 */
export function openConsole(write: (text: string) => void, uptimeMs: () => number): BootConsole {
  return {
    line: (text) => {
      const seconds = (uptimeMs() / 1000).toFixed(3).padStart(9);
      write(`[${seconds}] muster: ${withoutControlCharacters(text)}\n`);
    },
  };
}

function withoutControlCharacters(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ").trimEnd();
}
