import type { Command } from "commander";

/** The command of this name below `parent`, made when nobody made it yet: for groups that several areas add commands to. */
export function commandGroup(parent: Command, name: string, description: string): Command {
  const known = parent.commands.find((command) => command.name() === name);
  return known ?? parent.command(name).description(description);
}
