import { LineCounter, type Node, parseDocument } from "yaml";

import { errorSentence } from "#proto/contract/muster-error.ts";
import type { ConfigFinding } from "../config/config-finding.ts";
import { durationBetween, hasControlCharacter } from "../config/scalar-readers.ts";
import {
  openSection,
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
  const lines = new LineCounter();
  const context: ReadContext = { lines, findings: [] };
  const root: Place = { line: 1, column: 1, key: "" };
  let contents: Node | null;
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
    for (const error of [...document.errors, ...document.warnings]) {
      const { line, col } = lines.linePos(error.pos[0]);
      const what =
        error.code === "DUPLICATE_KEY"
          ? "this key is here twice"
          : `cannot be read as YAML: ${error.message.replace(/\s+/g, " ").trim()}`;
      report(context, { line: Math.max(1, line), column: Math.max(1, col), key: "" }, what);
    }
    contents = document.contents;
  } catch (error) {
    // The YAML reader recurses: thousands of nested brackets end its stack.
    report(context, root, `cannot be read as YAML: ${errorSentence(error)}`);
    return { findings: context.findings };
  }
  if (context.findings.length > 0) return { findings: context.findings };
  const section = openSection(contents ?? undefined, root, context);
  const settings = { reactions: readReactions(section.section("onChange"), context) };
  section.finish();
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
