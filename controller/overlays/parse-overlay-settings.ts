import type { ConfigFinding } from "../config/config-finding.ts";
import { durationBetween, hasControlCharacter } from "../config/scalar-readers.ts";
import {
  openDocument,
  type Place,
  type ReadContext,
  report,
  type ScalarReader,
  type Section,
} from "../config/yaml-section.ts";

/** A command that runs on the node, once per update that changed a path its glob matches. */
export interface OverlayReaction {
  readonly glob: string;
  readonly command: string;
  readonly deadlineSeconds: number;
}

/** What NAME/overlay.yaml says. */
interface OverlaySettings {
  readonly reactions: readonly OverlayReaction[];
}

/** The settings, or everything that is wrong with them. */
export type ParsedOverlaySettings =
  | { readonly settings: OverlaySettings; readonly findings?: never }
  | { readonly settings?: never; readonly findings: readonly ConfigFinding[] };

const DEFAULT_DEADLINE_SECONDS = 60;
const MAX_REACTIONS = 256;

/**
 * Reads the overlay.yaml of an overlay (YAML 1.2, one document, no aliases):
 *
 * onChange:
 *   "/etc/chrony*": systemctl try-restart chronyd
 *   "/etc/ssh/**": { command: systemctl reload ssh, deadline: 30s }
 */
export function parseOverlaySettings(text: string): ParsedOverlaySettings {
  const { context, root } = openDocument(text);
  if (root === undefined || context.findings.length > 0) return { findings: context.findings };
  const settings = { reactions: readReactions(root.section("onChange"), context) };
  root.finish();
  return context.findings.length > 0 ? { findings: context.findings } : { settings };
}

function readReactions(section: Section, context: ReadContext): readonly OverlayReaction[] {
  const keys = section.keys();
  if (keys.length > MAX_REACTIONS) report(context, section.at, `has more than ${MAX_REACTIONS} entries`);
  const reactions = keys.flatMap(({ name, at, isMapping }) => {
    const wrong = globProblem(name);
    if (wrong !== undefined) report(context, at, wrong);
    const reaction = isMapping
      ? readDetailed(section.section(name), context)
      : readPlain(section, name, at, context);
    return reaction === undefined ? [] : [{ glob: name, ...reaction }];
  });
  section.finish();
  return reactions;
}

function readPlain(
  section: Section,
  name: string,
  at: Place,
  context: ReadContext,
): Omit<OverlayReaction, "glob"> | undefined {
  const command = section.scalar(name, readCommand);
  if (command === undefined && !section.has(name)) report(context, at, "has no command");
  return command && { command: command.value, deadlineSeconds: DEFAULT_DEADLINE_SECONDS };
}

function readDetailed(section: Section, context: ReadContext): Omit<OverlayReaction, "glob"> | undefined {
  const command = section.scalar("command", readCommand);
  if (command === undefined && !section.has("command")) report(context, section.at, "has no command");
  const deadline = section.scalar("deadline", durationBetween("1s", "1h"));
  section.finish();
  return command && { command: command.value, deadlineSeconds: deadline?.value ?? DEFAULT_DEADLINE_SECONDS };
}

const readCommand: ScalarReader<string> = (text, parsed) => {
  if (typeof parsed !== "string") return { problem: "is not a command", fix: "write it in quotes" };
  const command = text.trim();
  if (command === "") return { problem: "is empty", fix: "write a command for /bin/sh -c" };
  return command.length > 4096 || hasControlCharacter(command.replaceAll("\n", ""))
    ? { problem: "is longer than 4096 characters or holds control characters" }
    : { value: command };
};

/** What is wrong with a pattern, if anything: it matches absolute paths, with *, ? and [a-z] within a name and ** across. */
function globProblem(glob: string): string | undefined {
  if (!glob.startsWith("/")) return "is not a pattern of absolute paths; start it with /";
  if (glob.length > 1024 || hasControlCharacter(glob)) return "is too long or holds control characters";
  if (/[{}]/.test(glob)) return "holds a brace, which has no meaning here; write a line for each alternative";
  return undefined;
}
