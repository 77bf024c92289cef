import { foldNodeSet } from "#proto/contract/node-set.ts";

import { HOOK_INPUT_VERSION, type HookBatch } from "./hook-event.ts";

/** Linux takes 128 KiB per variable (execve(2), MAX_ARG_STRLEN); names that do not fold are on standard input. */
const LONGEST_VARIABLE = 32 * 1024;

/** What a hook reads on its standard input: one JSON object and a line end. docs/hooks.md has its fields. */
export function renderHookInput({ event, nodes, changes }: HookBatch, at: Date): string {
  const input = {
    version: HOOK_INPUT_VERSION,
    event,
    at,
    ...(event === "change-committed"
      ? { changes }
      : { nodeset: foldNodeSet(nodes.map(({ name }) => name)), nodes }),
  };
  return `${JSON.stringify(input)}\n`;
}

/** The whole environment of a hook: what shell scripts need to act without reading JSON, and nothing of musterd's. */
export function renderHookEnvironment({
  event,
  nodes,
  changes,
}: HookBatch): Readonly<Record<string, string>> {
  const nodeset = foldNodeSet(nodes.map(({ name }) => name));
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    LANG: "C.UTF-8",
    MUSTER_EVENT: event,
    ...(event === "change-committed"
      ? {
          MUSTER_CHANGES: changes
            .map(({ id }) => id)
            .join(" ")
            .slice(0, LONGEST_VARIABLE),
        }
      : nodeset.length <= LONGEST_VARIABLE
        ? { MUSTER_NODES: nodeset }
        : {}),
  };
}
