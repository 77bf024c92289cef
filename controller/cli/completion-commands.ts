import type { Command } from "commander";

import { MusterError } from "#proto/contract/muster-error.ts";

import type { CliContext } from "./cli-context.ts";

/**
 * The words before the cursor go to `muster __complete`, which prints what the last may become, a word a line. They are taken from
 * the line: bash ends words at "=", ":" and "@" too (COMP_WORDBREAKS), which node sets and assignments have, and replaces
 * only what stands behind the last of these; in quotes it does not. Never compgen -W, which would run what a name has in $().
 */
const BASH_SCRIPT = `# bash completion for muster: source <(muster completion bash)
_muster() {
  local line="\${COMP_LINE:0:COMP_POINT}" breaks="\${COMP_WORDBREAKS//[^=:@]/}" before= words whole
  read -ra words <<<"$line"
  [[ $line == *[[:blank:]] ]] && words+=("")
  whole="\${words[-1]}"
  if [[ $whole == [\\'\\"]* ]]; then
    whole="\${whole:1}"
  elif [[ -n $breaks ]]; then
    before="\${whole%"\${whole##*[$breaks]}"}"
  fi
  words[-1]="$whole"
  mapfile -t COMPREPLY < <(muster __complete -- "\${words[@]:1}" 2>/dev/null)
  COMPREPLY=("\${COMPREPLY[@]#"$before"}")
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *[=:] ]] && compopt -o nospace
}
complete -o default -F _muster muster
`;

/** `muster completion bash`. */
export async function printCompletion(context: CliContext, shell: string): Promise<number> {
  if (shell !== "bash") {
    throw new MusterError({
      code: "argument-invalid",
      what: `there is no completion for ${shell}`,
      fix: "bash has one",
    });
  }
  context.process.out(BASH_SCRIPT);
  return 0;
}

/** `muster __complete -- WORD...`: what the last word may become. Never fails: a prompt is no place for errors. */
export async function complete(
  context: CliContext,
  program: Command,
  words: readonly string[],
): Promise<number> {
  const last = words.at(-1) ?? "";
  const at = { ...locate(program, words.slice(0, -1)), last };
  const candidates = last.startsWith("-") ? optionsOf(at.command) : await argumentsOf(context, at);
  const found = candidates.filter((word) => word.startsWith(last));
  context.process.out(found.map((word) => `${word}\n`).join(""));
  return 0;
}

interface CursorPlace {
  readonly command: Command;
  /** The arguments of the command that are there already. */
  readonly given: readonly string[];
  /** The option whose value is being typed. */
  readonly option: string | undefined;
}

function locate(program: Command, words: readonly string[]): CursorPlace {
  let command = program;
  const given: string[] = [];
  let option: string | undefined;
  for (const word of words) {
    const child = command.commands.find((candidate) => candidate.name() === word);
    if (option !== undefined) option = undefined;
    else if (word.startsWith("-")) option = valueOption(command, word);
    else if (child !== undefined) command = child;
    else given.push(word);
  }
  return { command, given, option };
}

function valueOption(command: Command, word: string): string | undefined {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const found = at.options.find((option) => option.long === word || option.short === word);
    if (found !== undefined) return found.required ? found.long : undefined;
  }
  return undefined;
}

function optionsOf(command: Command): readonly string[] {
  const options: string[] = ["--help"];
  for (let at: Command | null = command; at !== null; at = at.parent) {
    options.push(...at.options.flatMap((option) => option.long ?? []));
  }
  return options;
}

async function argumentsOf(
  context: CliContext,
  { command, given, option, last }: CursorPlace & { readonly last: string },
): Promise<readonly string[]> {
  for (let at: Command | null = command; at !== null && option !== undefined; at = at.parent) {
    const choices = at.options.find((candidate) => candidate.long === option)?.argChoices;
    if (choices !== undefined) return choices.filter((choice) => choice !== "");
  }
  const visible = command.commands.map((child) => child.name()).filter((name) => !name.startsWith("_"));
  if (option === undefined && visible.length > 0) return visible;
  const declared = command.registeredArguments;
  const argument =
    declared[given.length] ?? (declared.at(-1)?.variadic === true ? declared.at(-1) : undefined);
  const kind = option === undefined ? argument?.name() : option.replace(/^--/, "");
  try {
    const recordKind = command.parent?.name() === "profile" ? "profile" : "node";
    if (option !== undefined) {
      const { completeFieldOption } = await import("./records/complete-fields.ts");
      const words = await completeFieldOption(context, recordKind, option, given[0]);
      if (words !== undefined) return words;
    }
    if (kind === "assignments" || kind === "paths") {
      const { completeAssignment, completeSetPath } = await import("./records/complete-fields.ts");
      return kind === "paths"
        ? await completeSetPath(context, recordKind, given[0])
        : await completeAssignment(context, recordKind, given[0], last);
    }
    return await namesOf(context, kind, last);
  } catch {
    return [];
  }
}

async function namesOf(
  context: CliContext,
  kind: string | undefined,
  last: string,
): Promise<readonly string[]> {
  const { api } = context;
  const named = (items: readonly { readonly name: string }[]): readonly string[] =>
    items.map(({ name }) => name);
  switch (kind) {
    case "node":
    case "other-node":
    case "record":
      return named((await api.get<{ nodes: readonly { name: string }[] }>("/node-summaries")).nodes);
    case "nodeset":
    case "nodesets":
    case "nodes":
    case "match":
    case "other-nodeset":
      return (await import("./node-sets/complete-node-set.ts")).completeNodeSet(context, last);
    case "image":
      return named((await api.get<{ images: readonly { name: string }[] }>("/images")).images);
    case "overlay":
    case "runtime-overlay":
      return named((await api.get<{ overlays: readonly { name: string }[] }>("/overlays")).overlays);
    case "profile":
    case "profiles":
    case "partition":
      return (await import("./records/complete-fields.ts")).completeProfile(context);
    case "token":
      return named((await api.get<{ tokens: readonly { name: string }[] }>("/tokens")).tokens);
    case "code":
      return (await api.get<{ pending: readonly { claimCode: string }[] }>("/pending")).pending.map(
        ({ claimCode }) => claimCode,
      );
    case "shell":
      return ["bash"];
    case undefined:
    default:
      return [];
  }
}
