import type { PlaceFacts } from "./gather-overlay-facts.ts";
import type { WantedPath } from "./runtime-state.ts";

/** How a place differs from what is wanted there, in words; undefined when it does not. */
export function differenceOf({ what, attributes }: WantedPath, found: PlaceFacts): string | undefined {
  if (found.isKnownRight) return undefined;
  if (found.obstacle !== undefined && what.kind !== "absent") return found.obstacle;
  if (what.kind === "absent") return found.type === "absent" ? undefined : "exists, should not";
  if (found.type === "absent") return "missing";
  if (found.type !== what.kind) return `${NOUNS[found.type]}, should be ${NOUNS[what.kind]}`;
  if (what.kind === "symlink" && found.target !== what.target) {
    return `link to ${found.target ?? "?"}, should be ${what.target}`;
  }
  const differences: string[] = [];
  if (what.kind === "file" && found.digest !== what.digest) differences.push("content");
  if (what.kind !== "symlink" && found.mode !== attributes.mode) {
    differences.push(`mode ${octal(found.mode)}, should be ${octal(attributes.mode)}`);
  }
  if (found.uid !== attributes.uid || found.gid !== attributes.gid) {
    differences.push(`owner ${found.uid}:${found.gid}, should be ${attributes.uid}:${attributes.gid}`);
  }
  const wrong = Object.entries(attributes.xattrs).find(([name, hex]) => found.xattrs?.[name] !== hex);
  if (wrong !== undefined) differences.push(`attribute ${wrong[0]}`);
  return differences.length === 0 ? undefined : differences.join("; ");
}

const NOUNS = {
  file: "a file",
  symlink: "a link",
  directory: "a directory",
  other: "a special file",
} as const;

function octal(mode: number): string {
  return `0${mode.toString(8).padStart(3, "0")}`;
}
