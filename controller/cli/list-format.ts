import type { Command } from "commander";

import { MusterError } from "#proto/contract/muster-error.ts";

/** What `-o` takes besides table, json and yaml, where a list of nodes is for another program. */
export const LIST_FORMATS = ["nodeset", "names", "hosts", "clustershell", "mpi"] as const;
export type ListFormat = (typeof LIST_FORMATS)[number];

const accepting = new WeakSet<Command>();

/** Lets a command have the formats above. */
export function acceptListFormats(command: Command): Command {
  accepting.add(command);
  return command;
}

/** The format of lists that was asked for; undefined for table, json and yaml. `argument-invalid` where there are no lists. */
export function readListFormat(command: Command, output: string): ListFormat | undefined {
  const format = LIST_FORMATS.find((one) => one === output);
  if (format === undefined || accepting.has(command)) return format;
  throw new MusterError({
    code: "argument-invalid",
    what: `-o ${output} is for \`muster node list\``,
    fix: "here there are table, json and yaml",
  });
}
