import type { OverlayReaction } from "./runtime-state.ts";

/**
 * The reactions an update calls for: those with a glob that matches a changed path, in the order of their first
 * declaration; a command that is declared more than once runs once, with the longest of its deadlines.
 */
export function planReactions(
  reactions: readonly OverlayReaction[],
  changed: readonly string[],
): readonly OverlayReaction[] {
  const called = new Map<string, OverlayReaction>();
  for (const reaction of reactions) {
    const patterns = reaction.globs.map(parseGlob);
    if (!changed.some((path) => patterns.some((pattern) => pattern.test(path)))) continue;
    const same = called.get(reaction.command);
    const deadlineSeconds = Math.max(reaction.deadlineSeconds, same?.deadlineSeconds ?? 0);
    called.set(reaction.command, { ...reaction, deadlineSeconds });
  }
  return [...called.values()];
}

/**
 * A shell pattern on absolute paths as a regular expression: `*` and `?` do not match "/", `**` does. `[a-z]` and
 * `[!a-z]` as in glob(7); a backslash takes the meaning from the next character.
 *
 * parseGlob("/etc/ssh/*.d/**").test("/etc/ssh/sshd_config.d/a/b.conf") === true
 */
export function parseGlob(glob: string): RegExp {
  let pattern = "";
  for (let at = 0; at < glob.length; at++) {
    const character = glob.charAt(at);
    const set = /^\[(!?)(\]?[^\]/]*)\]/.exec(glob.slice(at));
    if (glob.startsWith("**/", at)) {
      // "/a/**/b" is also "/a/b".
      pattern += "(?:.*/)?";
      at += 2;
    } else if (glob.startsWith("**", at)) {
      pattern += ".*";
      at += 1;
    } else if (character === "*") pattern += "[^/]*";
    else if (character === "?") pattern += "[^/]";
    else if (set !== null) {
      const [whole, not = "", members = ""] = set;
      pattern += `(?!/)[${not === "" ? "" : "^"}${members.replaceAll(/[\\\]^[&|~]/g, "\\$&")}]`;
      at += whole.length - 1;
    } else if (character === "\\" && at + 1 < glob.length) {
      at += 1;
      pattern += literally(glob.charAt(at));
    } else pattern += literally(character);
  }
  try {
    return new RegExp(`^${pattern}$`, "su");
  } catch {
    // "[z-a]": a set nothing is in, so nothing matches.
    return /^(?!)/;
  }
}

function literally(character: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(character) ? `\\${character}` : character;
}
