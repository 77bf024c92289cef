import { access } from "node:fs/promises";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { Command, CommandResult } from "#proto/host/run-command.ts";

import type { HostPaths } from "../host-paths.ts";

/** Values in hex, by name, by path. */
export type XattrsByPath = ReadonlyMap<string, Readonly<Record<string, string>>>;

/**
 * Reads and writes extended attributes. Node.js has no call for them; the agent's own layer carries getfattr and
 * setfattr, so that an image needs neither. One process for many paths.
 */
export interface XattrTool {
  read(paths: readonly string[]): Promise<XattrsByPath>;
  write(xattrs: XattrsByPath): Promise<void>;
}

type Run = (command: Command) => Promise<CommandResult>;

/** Far below ARG_MAX, with paths of any length. */
const PATHS_PER_PROCESS = 200;

export function openXattrTool(paths: Pick<HostPaths, "agentPrograms" | "programs">, run: Run): XattrTool {
  const find = async (program: "getfattr" | "setfattr"): Promise<string> => {
    const own = `${paths.agentPrograms}/${program}`;
    return access(own).then(
      () => own,
      () => paths.programs[program],
    );
  };
  return {
    read: async (all) => {
      const found = new Map<string, Readonly<Record<string, string>>>();
      for (let at = 0; at < all.length; at += PATHS_PER_PROCESS) {
        const some = all.slice(at, at + PATHS_PER_PROCESS);
        const args = ["-h", "-d", "-m", "-", "-e", "hex", "--absolute-names", "--", ...some];
        // A path that went meanwhile is an exit status, not a failure: it has no attributes.
        const { stdout } = await run({ program: await find("getfattr"), args });
        for (const [path, values] of parseAttributeDump(stdout)) found.set(path, values);
      }
      return found;
    },
    write: async (xattrs) => {
      const input = renderAttributeDump(xattrs);
      if (input === "") return;
      const { exitCode, stderr } = await run({
        program: await find("setfattr"),
        args: ["-h", "--restore=-"],
        input,
      });
      if (exitCode !== 0)
        throw new MusterError({
          code: "overlay-apply-failed",
          what: `extended attributes cannot be set: ${stderr.trim().split("\n").slice(0, 5).join("; ")}`,
          fix: "take them from the overlay, or the path to a file system that has such attributes",
        });
    },
  };
}

/** The format of `getfattr --dump --encoding=hex`: "# file: PATH", lines of NAME=0xHEX, an empty line. */
export function parseAttributeDump(dump: string): XattrsByPath {
  const found = new Map<string, Record<string, string>>();
  let current: Record<string, string> | undefined;
  for (const line of dump.split("\n")) {
    if (line.startsWith("# file: ")) {
      current = {};
      found.set(unescape(line.slice("# file: ".length)), current);
      continue;
    }
    const [, name, hex] = /^([^=]+)=0x((?:[0-9a-fA-F]{2})*)$/.exec(line) ?? [];
    if (name !== undefined && hex !== undefined && current !== undefined) current[unescape(name)] = hex;
  }
  return found;
}

/** What `setfattr --restore` reads; paths without attributes are left out. */
export function renderAttributeDump(xattrs: XattrsByPath): string {
  return [...xattrs]
    .filter(([, values]) => Object.keys(values).length > 0)
    .map(([path, values]) => {
      const lines = Object.entries(values).map(([name, hex]) => `${escape(name)}=0x${hex}\n`);
      return `# file: ${escape(path)}\n${lines.join("")}\n`;
    })
    .join("");
}

/** As getfattr(1) writes them: backslash, newline, carriage return and "=" as three octal digits. */
function escape(text: string): string {
  return text.replaceAll(
    /[\\\n\r=]/g,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
}

/** The escapes are bytes, the rest is UTF-8. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
