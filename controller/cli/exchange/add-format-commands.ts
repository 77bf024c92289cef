import { type Command, Option } from "commander";

import { addCommitOptions } from "../changes/add-commit-options.ts";
import { commandGroup } from "../command-group.ts";
import type { CommandRunner } from "../command-runner.ts";

/** `muster import hosts|dhcpd|genders|csv` and `muster export hosts|genders|ethers|ansible|clustershell|slurm`. */
export function addFormatCommands(program: Command, run: CommandRunner): void {
  addImports(commandGroup(program, "import", "take over an inventory that other programs kept"), run);
  const exporting = commandGroup(program, "export", "the inventory as text");
  handOptionsDown(exporting);
  addExports(exporting, run);
}

/**
 * `muster export` has options itself, and commander gives it those of its formats that have the same names, wherever they stand:
 * here a format gets its own back, and refuses what it does not have.
 */
function handOptionsDown(group: Command): void {
  group.hook("preAction", (_, action) => {
    if (action === group) return;
    for (const option of group.options) {
      const name = option.attributeName();
      if (group.getOptionValueSource(name) !== "cli") continue;
      if (!action.options.some((own) => own.attributeName() === name)) {
        action.error(`error: unknown option '${option.flags}' of export ${action.name()}`, {
          code: "commander.unknownOption",
        });
      }
      action.setOptionValueWithSource(name, group.getOptionValue(name), "cli");
    }
  });
}

function addImports(importing: Command, run: CommandRunner): void {
  addImportOptions(
    importing
      .command("hosts")
      .argument("<file>", "hosts(5), for example /etc/hosts; - for standard input")
      .description("take over addresses from a hosts file")
      .option("--network <cidr>", "lines with an address in this network are nodes: 10.77.0.0/16")
      .option(
        "--suffix <suffix=device>",
        "names that end so are another device of the node, or its bmc: --suffix=-ib=ib0; again for more",
        collect,
      ),
  ).action(run(async () => (await import("./import-file-commands.ts")).importHosts));
  addImportOptions(
    importing
      .command("dhcpd")
      .argument("<file>", "dhcpd.conf(5) of ISC dhcpd; - for standard input")
      .description("take over the hosts of ISC dhcpd: names, MACs, addresses")
      .option(
        "--suffix <suffix=device>",
        "hosts whose names end so are another device of the node, or its bmc: --suffix=-ib=ib0; again for more",
        collect,
      ),
  ).action(run(async () => (await import("./import-file-commands.ts")).importDhcpd));
  addImportOptions(
    importing
      .command("genders")
      .argument("<file>", "a genders file, for example /etc/genders; - for standard input")
      .description("take over attributes from a genders file, as tags and profiles")
      .option("--profiles <attributes>", "attributes that are profiles, with commas between: compute,login")
      .option("--add-profiles", "add profiles that do not exist, empty"),
  ).action(run(async () => (await import("./import-file-commands.ts")).importGenders));
  addImportOptions(
    importing
      .command("csv")
      .argument("<file>", "a table whose first line names the columns; - for standard input")
      .description("take over a table: any column, any field")
      .option(
        "--map <field=column,...>",
        "what columns are: name=Hostname,mac=MAC,tags.rack=Rack; others are told by their headers; again for more",
        collect,
      )
      .addOption(
        new Option("--separator <character>", "what stands between cells (default: found out)").choices([
          ",",
          ";",
          "tab",
          "|",
        ]),
      )
      .option("--add-profiles", "add profiles that do not exist, empty"),
  ).action(run(async () => (await import("./import-file-commands.ts")).importCsv));
}

function addExports(exporting: Command, run: CommandRunner): void {
  const format = (name: string, description: string): Command =>
    exporting
      .command(name)
      .description(description)
      .option("--nodes <nodeset>", "only these nodes: c[001-064], @profile:gpu");
  format("hosts", "hosts(5): addresses of nodes, their other devices and BMCs")
    .option("--domain <domain>", "with long names: c001.DOMAIN")
    .action(run(async () => (await import("./export-file-commands.ts")).exportHosts));
  format("genders", "a genders file: profiles, images and tags as attributes").action(
    run(async () => (await import("./export-file-commands.ts")).exportGenders),
  );
  format("ethers", "ethers(5): MACs of nodes").action(
    run(async () => (await import("./export-file-commands.ts")).exportEthers),
  );
  format("ansible", "a dynamic inventory of Ansible, in JSON: groups by profile, image, tag and state")
    .option("--list", "the whole inventory; the default")
    .option("--host <node>", "the variables of one node")
    .action(run(async () => (await import("./export-file-commands.ts")).exportAnsible));
  format(
    "clustershell",
    "groups for ClusterShell's groups.d: @profile:X, @image:X, @tag:K=V, @state:X",
  ).action(run(async () => (await import("./export-file-commands.ts")).exportClustershell));
  format("slurm", "lines for slurm.conf and gres.conf, from the hardware that nodes reported")
    .option("--partition <profile>", "with a partition of the nodes of this profile; again for more", collect)
    .option("--round-memory <mib>", "round RealMemory down to a multiple of this", "1")
    .action(run(async () => (await import("./export-file-commands.ts")).exportSlurm));
}

function addImportOptions(command: Command): Command {
  return addCommitOptions(
    command
      .option("--match <nodeset>", "only these nodes of the file: c[001-064]")
      .option("--device <name>", "what the device is called that new nodes boot from", "eno1")
      .option("--keep", "values that nodes have already stay; what the file says otherwise is listed"),
  );
}

function collect(word: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), word];
}
