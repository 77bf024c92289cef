import { createHash } from "node:crypto";

import type { Command, CommandResult } from "#proto/host/run-command.ts";

import type { HostPaths } from "../host-paths.ts";
import type { NodeDisk } from "./node-disk.ts";
import type { WantedPath } from "./runtime-state.ts";

/** The world as the runtime overlay sees it. */
export interface RuntimeHost {
  /** "/" in earnest. */
  readonly root: string;
  readonly paths: HostPaths;
  readonly disk: NodeDisk;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** One line for the journal. */
  readonly log: (line: string) => void;
  readonly run: (command: Command, signal?: AbortSignal) => Promise<CommandResult>;
}

/** What a place on this machine is called on the node: reports are for people, who know of no root but "/". */
export function shownAs(root: string, place: string): string {
  return root === "/" ? place : place.slice(root.length) || "/";
}

/** Names what is wanted at a path: two wants with one key are satisfied by the same file. */
export function rightKey({ what, attributes: { mode, uid, gid, xattrs } }: WantedPath): string {
  const named = Object.entries(xattrs).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([what, mode, uid, gid, named]))
    .digest("hex")
    .slice(0, 32);
}

/** A name for what belongs to a place, the same every time. */
export function placeName(place: string): string {
  return createHash("sha256").update(place).digest("hex").slice(0, 24);
}
