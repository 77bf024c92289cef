import type { Command } from "commander";

import type { RecordKind } from "../../inventory/changes.ts";
import { addCommitOptions } from "../changes/add-commit-options.ts";
import type { CommandRunner } from "../command-runner.ts";
import { addFieldOptions } from "./field-options.ts";

const NODESET = "names: c[001-064], @profile:gpu";
const PROFILES = "names, with commas between";
const ASSIGNMENT = "PATH=VALUE for any field, PATH+=WORD and PATH-=WORD for lists; see docs/fields.md";
const PATHS = "fields, or whole groups of them: devices.eno1.mtu, bmc";
const AT = "as it was then: '2 days ago', 2026-11-20 12:00";

/** `muster node add, set, unset, show, diff, rename, delete`. */
export function addNodeFieldCommands(node: Command, run: CommandRunner): void {
  withFieldOptions(
    node
      .command("add")
      .argument("<nodeset>", "names: c[001-064]")
      .argument("[assignments...]", ASSIGNMENT)
      .description("add nodes, all or none"),
    "node",
  ).action(run(async () => (await import("./field-commands.ts")).addNodes));
  withFieldOptions(
    node
      .command("set")
      .argument("<nodeset>", NODESET)
      .argument("[assignments...]", ASSIGNMENT)
      .description("change nodes, all or none; an empty value unsets"),
    "node",
  ).action(run(async () => (await import("./field-commands.ts")).setRecords("node")));
  addCommitOptions(
    node
      .command("unset")
      .argument("<nodeset>", NODESET)
      .argument("<paths...>", PATHS)
      .description("take fields away from nodes, all or none"),
  ).action(run(async () => (await import("./field-commands.ts")).unsetRecords("node")));
  addShowOptions(
    node.command("show").argument("<nodeset>", NODESET).description("everything about nodes"),
  ).action(run(async () => (await import("./show-commands.ts")).showNodes));
  node
    .command("diff")
    .argument("<nodeset>", "nodes on the left")
    .argument("[other-nodeset]", "nodes on the right; with --at none: the same nodes now")
    .description("what differs in effect, field by field; exit status 1 when something does")
    .option("--at <time>", AT)
    .option("--ignore-unique", "leave out what is one machine's own: MACs, addresses")
    .action(run(async () => (await import("./show-commands.ts")).diffNodes));
  addCommitOptions(
    node
      .command("rename")
      .argument("<node>", "its name")
      .argument("<new-name>", "its name from then on")
      .description("give a node another name; its history goes with it"),
  ).action(run(async () => (await import("./field-commands.ts")).renameRecord("node")));
  addCommitOptions(
    node
      .command("delete")
      .argument("<nodeset>", NODESET)
      .description("delete nodes with their identity and secrets"),
  ).action(run(async () => (await import("./field-commands.ts")).deleteNodes));
}

/** `muster profile add, set, unset, list, show, rename, delete`. */
export function addProfileCommands(profile: Command, run: CommandRunner): void {
  withFieldOptions(
    profile
      .command("add")
      .argument("<profiles>", PROFILES)
      .argument("[assignments...]", ASSIGNMENT)
      .description("add profiles, all or none"),
    "profile",
  ).action(run(async () => (await import("./field-commands.ts")).addProfiles));
  withFieldOptions(
    profile
      .command("set")
      .argument("<profiles>", PROFILES)
      .argument("[assignments...]", ASSIGNMENT)
      .description("change profiles, all or none; an empty value unsets"),
    "profile",
  ).action(run(async () => (await import("./field-commands.ts")).setRecords("profile")));
  addCommitOptions(
    profile
      .command("unset")
      .argument("<profiles>", PROFILES)
      .argument("<paths...>", PATHS)
      .description("take fields away from profiles, all or none"),
  ).action(run(async () => (await import("./field-commands.ts")).unsetRecords("profile")));
  profile
    .command("list")
    .description("profiles and the nodes that take fields from them")
    .action(run(async () => (await import("./show-commands.ts")).listProfiles));
  addShowOptions(
    profile
      .command("show")
      .argument("<profiles>", PROFILES)
      .description("what profiles say, and the nodes that take it from them"),
  ).action(run(async () => (await import("./show-commands.ts")).showProfiles));
  addCommitOptions(
    profile
      .command("rename")
      .argument("<profile>", "its name")
      .argument("<new-name>", "its name from then on")
      .description("give a profile another name, also where nodes and profiles name it"),
  ).action(run(async () => (await import("./field-commands.ts")).renameRecord("profile")));
  addCommitOptions(
    profile
      .command("delete")
      .argument("<profiles>", PROFILES)
      .description("delete profiles that nothing takes fields from"),
  ).action(run(async () => (await import("./field-commands.ts")).deleteProfiles));
}

/**
 * The options of all fields, made when somebody looks at the options of the command: there are a hundred, and most command lines
 * are about other commands.
 */
function withFieldOptions(command: Command, kind: RecordKind): Command {
  const { options } = command;
  const define = (descriptor: PropertyDescriptor): unknown =>
    Object.defineProperty(command, "options", { configurable: true, enumerable: true, ...descriptor });
  define({
    get: () => {
      define({ value: options, writable: true });
      addCommitOptions(addFieldOptions(command, kind));
      return options;
    },
  });
  return command;
}

function addShowOptions(command: Command): Command {
  return command
    .option("--explain", "every field in effect: who says it, and what that overrode")
    .option("--at <time>", AT)
    .option("--secrets", "with passwords in clear");
}
