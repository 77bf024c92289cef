import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { openTestSite, type TestSite } from "../../api/rest/api-test-site.ts";
import { createApi } from "../../api/rest/create-api.ts";
import { listenOnSocket } from "../../api/rest/listen.ts";
import type { CliProcess } from "../cli-context.ts";
import { typeCommand } from "../type-command.ts";

let site: TestSite;
let api: FastifyInstance;
let socket: string;
let directory: string;

beforeEach(async () => {
  site = await openTestSite();
  api = await createApi(site.deps, { by: "socket" });
  socket = join(site.directory, "control.sock");
  await listenOnSocket(api, socket, "root");
  directory = await mkdtemp(join(tmpdir(), "muster-text-"));
});

afterEach(async () => {
  await api.close();
  await site[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const muster = async (line: string, more: Partial<CliProcess> = {}): Promise<string> =>
  (await typeCommand(socket, line.replaceAll("DIR", directory), more)).replaceAll(directory, "DIR");
const write = async (name: string, text: string): Promise<void> => writeFile(join(directory, name), text);
const read = async (name: string): Promise<string> => readFile(join(directory, name), "utf8");

const SITE = `# muster inventory 1
profiles:
  default:
    kernelArguments:
      - quiet
nodes:
  c001:
    profiles:
      - default
    devices:
      eno1:
        mac: "52:54:00:00:00:01"
        address: 10.77.0.11
  c002:
    profiles:
      - default
    devices:
      eno1:
        mac: "52:54:00:00:00:02"
        address: 10.77.0.12
`;

const YES: Partial<CliProcess> = { ask: async () => "y" };

describe("an inventory under git", () => {
  it("is applied after a preview, exported the same, and applied again to no effect", async () => {
    await write("site.yaml", SITE);
    const preview = `profile default: would be added
  kernelArguments  [quiet]
  reaches 2 nodes: c[001-002]
c001: would be added
  profiles              [default]
  kernelArguments       [quiet]
  devices.eno1.mac      52:54:00:00:00:01
  devices.eno1.address  10.77.0.11
c002: would be added
  profiles              [default]
  kernelArguments       [quiet]
  devices.eno1.mac      52:54:00:00:00:02
  devices.eno1.address  10.77.0.12

at once: DHCP answers otherwise for c[001-002]
`;
    expect(await muster("apply -f DIR/site.yaml --dry-run")).toBe(`$ muster apply -f DIR/site.yaml --dry-run
${preview}2> the controller would take this change of 2 nodes c[001-002] and profile default; nothing was changed
[0]
`);
    expect(await muster("apply -f DIR/site.yaml")).toBe(`$ muster apply -f DIR/site.yaml
${preview}2> muster: Change 2 nodes c[001-002] and profile default: there is no terminal to ask on
2>   fix: pass --yes to go ahead without asking
[2]
`);
    expect(
      await muster("apply -f DIR/site.yaml", { ask: async () => "n" }),
    ).toBe(`$ muster apply -f DIR/site.yaml
${preview}2> nothing was done
[1]
`);
    expect(await muster("apply -f DIR/site.yaml -m 'first nodes'", YES)).toBe(
      `$ muster apply -f DIR/site.yaml -m 'first nodes'
${preview}2> change 1: 2 nodes c[001-002] and profile default; to take it back: muster undo 1
[0]
`,
    );
    expect(await muster("export")).toBe(`$ muster export
${SITE}[0]
`);
    expect(await muster("apply -f DIR/site.yaml")).toBe(`$ muster apply -f DIR/site.yaml
2> nothing to change
[0]
`);
    expect(await site.deps.inventory.listChanges({ limit: 10 })).toMatchObject([{ reason: "first nodes" }]);
  });

  it("shows at the nodes what a changed profile does to them, and what follows", async () => {
    await write("site.yaml", SITE);
    await muster("apply -f DIR/site.yaml -y");
    await write("site.yaml", SITE.replace("- quiet", "- quiet\n      - nomodeset"));
    expect(await muster("apply -f DIR/site.yaml -y")).toBe(`$ muster apply -f DIR/site.yaml -y
profile default: kernelArguments [quiet] -> [quiet, nomodeset]
  reaches 2 nodes: c[001-002]
c[001-002]: kernelArguments [quiet] -> [quiet, nomodeset]   (reboot)

at the next boot: c[001-002]; where they are up: muster reboot c[001-002]
2> change 2: profile default; to take it back: muster undo 2
[0]
`);
  });

  it("is a file for each record in a directory, of which only what differs is written", async () => {
    await write("site.yaml", SITE);
    await muster("apply -f DIR/site.yaml -y");
    expect(await muster("export --directory DIR/inventory")).toBe(`$ muster export --directory DIR/inventory
2> DIR/inventory: wrote 3 files, 0 as they were, removed 0
[0]
`);
    expect((await readdir(join(directory, "inventory"), { recursive: true })).sort()).toEqual([
      "nodes",
      "nodes/c001.yaml",
      "nodes/c002.yaml",
      "profiles",
      "profiles/default.yaml",
    ]);
    expect(await read("inventory/nodes/c001.yaml")).toBe(`# muster inventory 1: node c001
profiles:
  - default
devices:
  eno1:
    mac: "52:54:00:00:00:01"
    address: 10.77.0.11
`);
    expect(await muster("apply -f DIR/inventory")).toMatch(/2> nothing to change\n\[0\]\n$/);
    // one is changed, one is new, one is gone
    await write(
      "inventory/nodes/c002.yaml",
      "profiles: [default]\nruntimeOverlays: [site]\ntags: {rack: 1}\n",
    );
    await write("inventory/nodes/c003.yaml", "tags: {rack: 1}\n");
    await write("inventory/nodes/c003.yaml~", "what an editor left\n");
    await rm(join(directory, "inventory/nodes/c001.yaml"));
    expect(await muster("apply -f DIR/inventory --dry-run")).toContain(
      "2> not in DIR/inventory, and left as they are: 1 node c001; --prune deletes them\n",
    );
    expect(await muster("apply -f DIR/inventory --prune -y")).toBe(`$ muster apply -f DIR/inventory --prune -y
c001: deleted
c002:
  runtimeOverlays       (none) -> [site]   (refresh)
  devices.eno1.mac      52:54:00:00:00:02 -> (none)   (reboot)
  devices.eno1.address  10.77.0.12 -> (none)   (reboot)
  tags.rack             (none) -> 1
c003: added
  tags.rack  1

at once: DHCP answers otherwise for c[001-002]
at once: the runtime overlay of c002 is refreshed where they are up
at the next boot: c002; where they are up: muster reboot c002
2> change 2: 3 nodes c[001-003]; to take it back: muster undo 2
[0]
`);
    await write("inventory/nodes/c001.yaml", "# muster inventory 1: node c001\n{}\n");
    await write("inventory/nodes/notes.yaml", "# not a node\n");
    expect(await muster("export --directory DIR/inventory")).toBe(`$ muster export --directory DIR/inventory
2> left DIR/inventory/nodes/notes.yaml: muster did not write it, and no such record exists
2> DIR/inventory: wrote 2 files, 1 as they were, removed 1
[0]
`);
    expect(await muster("apply -f DIR/inventory/nodes/c002.yaml")).toMatch(/nothing to change\n\[0\]\n$/);
  });

  it("can be exported in part, which --prune does not take for the whole", async () => {
    await write("site.yaml", SITE);
    await muster("apply -f DIR/site.yaml -y");
    expect(await muster("export DIR/part.yaml --nodes c002")).toBe(`$ muster export DIR/part.yaml --nodes c002
2> wrote 1 node to DIR/part.yaml
[0]
`);
    expect(await read("part.yaml")).toMatch(/^# muster inventory 1, part: nodes c002\nnodes:\n {2}c002:\n/);
    expect(await muster("apply -f DIR/part.yaml")).toBe(`$ muster apply -f DIR/part.yaml
2> nothing to change
[0]
`);
    expect(await muster("apply -f DIR/part.yaml --prune")).toBe(`$ muster apply -f DIR/part.yaml --prune
2> muster: DIR/part.yaml has a part of the inventory alone (nodes c002): --prune would delete all the rest
2>   fix: apply it without --prune, or take \`, part: ...\` out of its first line if it is complete
[2]
`);
  });

  it("leaves profiles alone when it speaks of nodes only", async () => {
    await write("site.yaml", SITE);
    await muster("apply -f DIR/site.yaml -y");
    await write("site.yaml", "nodes: {}\n");
    expect(await muster("apply -f DIR/site.yaml --prune -y")).toContain("c[001-002]: deleted\n");
    expect(await muster("export")).toContain("profiles:\n  default:\n");
  });

  it("keeps passwords that are not shown, and compares those that are", async () => {
    await write("site.yaml", "nodes:\n  c001:\n    bmc: {address: 10.78.0.1, password: s3cret}\n");
    const added = await muster("apply -f DIR/site.yaml -y");
    expect(added).toContain("  bmc.password  (secret)\n");
    expect(added).not.toContain("s3cret");
    expect(await muster("apply -f DIR/site.yaml")).toMatch(/nothing to change\n\[0\]\n$/);
    const shown = await muster("export DIR/shown.yaml");
    expect(shown).toContain("[0]");
    expect(await read("shown.yaml")).toContain('password: "(kept)"');
    expect(await muster("apply -f DIR/shown.yaml")).toMatch(/nothing to change\n\[0\]\n$/);
    await muster("export --secrets DIR/secret.yaml");
    expect(await read("secret.yaml")).toContain("password: s3cret");
    expect((await stat(join(directory, "secret.yaml"))).mode & 0o777).toBe(0o600);
    await write("shown.yaml", (await read("shown.yaml")).replace("10.78.0.1", "10.78.0.2"));
    await muster("apply -f DIR/shown.yaml -y");
    await write("secret.yaml", (await read("secret.yaml")).replace("s3cret", "other"));
    expect(await muster("apply -f DIR/secret.yaml -y")).toContain(`c001:
  bmc.address   10.78.0.2 -> 10.78.0.1
  bmc.password  (secret) -> (another secret)
`);
    await write("new.yaml", 'nodes: {c002: {bmc: {password: "(kept)"}}}\n');
    expect(await muster("apply -f DIR/new.yaml -y")).toContain(
      "2> DIR/new.yaml:1:32: nodes.c002.bmc.password: is (kept), but there is none to keep; write the secret itself, or leave it out\n",
    );
  });
});

describe("a bad text", () => {
  it("changes nothing, and everything wrong with it is listed", async () => {
    await write("bad.yaml", "nodes:\n  c001:\n    imagee: x\n    devices: {eno1: {mtu: 7}}\n");
    expect(await muster("apply -f DIR/bad.yaml -y")).toBe(`$ muster apply -f DIR/bad.yaml -y
2> DIR/bad.yaml:3:5: nodes.c001.imagee: is no field; did you mean image?
2> DIR/bad.yaml:4:27: nodes.c001.devices.eno1.mtu: "7" is not a whole number from 68 to 65520
2> muster: nothing was changed: 2 findings, listed above
[2]
`);
    const json = await muster("apply -f DIR/bad.yaml -y -o json");
    expect(json).toContain('"line": 3,');
  });

  it("has what the controller finds told at its place, too", async () => {
    await write("site.yaml", SITE);
    await muster("apply -f DIR/site.yaml -y");
    await write(
      "bad.yaml",
      "nodes:\n  c003:\n    devices:\n      eno1:\n        mac: '52:54:00:00:00:03'\n        address: 10.77.0.11\n",
    );
    expect(await muster("apply -f DIR/bad.yaml -y")).toContain(`
2> DIR/bad.yaml:6:18: nodes.c003.devices.eno1.address: 10.77.0.11 already belongs to c001 device eno1; take it from c001 first (\`muster node show c001\`), or give c003 another one
2> muster: nothing was changed: 1 finding, listed above
[5]
`);
    await write("bad.yaml", "nodes:\n  c003:\n    profiles: [missing]\n");
    expect(await muster("apply -f DIR/bad.yaml -y")).toContain(
      "2> DIR/bad.yaml:2:3: nodes.c003: there is no profile",
    );
  });

  it("cannot make profiles go round in a circle, nor delete one that is in use", async () => {
    await write("site.yaml", SITE);
    await muster("apply -f DIR/site.yaml -y");
    await write("bad.yaml", "profiles:\n  a: {profiles: [b]}\n  b: {profiles: [a]}\n");
    expect(await muster("apply -f DIR/bad.yaml -y")).toContain(
      "2> DIR/bad.yaml:2:3: profiles.a: it includes itself: a -> b -> a; take one of them out of the list of the one before it\n",
    );
    await write("bad.yaml", "profiles: {}\n");
    expect(await muster("apply -f DIR/bad.yaml --prune -y")).toMatch(/2> muster: .*profile default.*\n/);
    expect(await muster("export")).toBe(`$ muster export\n${SITE}[0]\n`);
  });

  it("is no text at all: the path is told", async () => {
    expect(await muster("apply -f DIR/none.yaml")).toBe(`$ muster apply -f DIR/none.yaml
2> muster: there is no DIR/none.yaml
2>   fix: name a file, a directory, or - for standard input
[2]
`);
    expect(await muster("apply -f DIR")).toContain("muster: DIR has neither nodes/ nor profiles/ in it\n");
    await write("large.yaml", "");
    await truncate(join(directory, "large.yaml"), 50 * 1024 * 1024);
    expect(await muster("apply -f DIR/large.yaml")).toContain(
      "2> DIR/large.yaml:1:1: has 50 MiB, and nothing above 32 MiB is read;",
    );
  });

  it("does not name a record twice", async () => {
    await write("site.yaml", SITE);
    await muster("apply -f DIR/site.yaml -y");
    await muster("export --directory DIR/inventory");
    await write("inventory/nodes/c001.yml", "{}\n");
    expect(await muster("apply -f DIR/inventory")).toContain(
      "muster: DIR/inventory/nodes/c001.yml is not called NAME.yaml\n",
    );
  });
});

describe("editing", () => {
  const env = (): Partial<CliProcess> => ({
    env: { MUSTER_SOCKET: socket, EDITOR: `sh ${directory}/editor`, TMPDIR: directory },
  });
  /** Each text is a shell command that stands for what the person does the first, second, ... time the editor opens. */
  const willType = async (...commands: readonly string[]): Promise<void> => {
    const cases = commands.map((command, at) => `${at}) ${command} ;;`).join("\n");
    await rm(join(directory, "count"), { force: true });
    await write(
      "editor",
      `n=$(cat ${directory}/count 2>/dev/null || echo 0); echo $((n+1)) > ${directory}/count\ncase $n in\n${cases}\nesac\n`,
    );
  };
  const kept = async (): Promise<readonly string[]> =>
    (await readdir(directory)).filter((name) => name.startsWith("muster-edit-"));
  const named = (text: string): string => text.replaceAll(/muster-edit-\w+/g, "EDIT");

  beforeEach(async () => {
    await write("site.yaml", SITE);
    await muster("apply -f DIR/site.yaml -y");
  });

  it("commits what was saved, after showing it", async () => {
    await willType("sed -i 's/10.77.0.12/10.77.0.22/' $1");
    expect(await muster("node edit c[001-002] -m 'moved'", { ...env(), ...YES })).toBe(
      `$ muster node edit c[001-002] -m 'moved'
c002: devices.eno1.address 10.77.0.12 -> 10.77.0.22   (reboot)

at once: DHCP answers otherwise for c002
at the next boot: c002; where they are up: muster reboot c002
2> change 2: 1 node c002; to take it back: muster undo 2
[0]
`,
    );
    await willType("sed -i 's/quiet/debug/' $1");
    expect(await muster("profile edit default", { ...env(), ...YES })).toContain(
      "c[001-002]: kernelArguments [quiet] -> [debug]   (reboot)\n",
    );
    expect(await kept()).toEqual([]);
  });

  it("that changes nothing does nothing", async () => {
    await willType("true");
    expect(await muster("node edit c001", env())).toBe(
      "$ muster node edit c001\n2> nothing was changed\n[0]\n",
    );
    await willType("false");
    expect(await muster("node edit c001", env())).toMatch(
      /ended with exit status 1\n2> {3}fix: .*\n\[3\]\n$/,
    );
    expect(await muster("node edit c009", env())).toMatch(/there is no node "c009"\n/);
    expect(await kept()).toEqual([]);
  });

  it("shows what is wrong at its line, and opens again", async () => {
    await willType(
      "sed -i 's/address:/adress:/' $1",
      `cp $1 ${directory}/marked; sed -i 's/adress: .*/address: 10.77.0.23/' $1`,
    );
    expect(named(await muster("node edit c002", { ...env(), ...YES }))).toBe(`$ muster node edit c002
2> DIR/EDIT/nodes.yaml:12:9: nodes.c002.devices.eno1.adress: is no field; did you mean address or address6?
c002: devices.eno1.address 10.77.0.12 -> 10.77.0.23   (reboot)

at once: DHCP answers otherwise for c002
at the next boot: c002; where they are up: muster reboot c002
2> change 2: 1 node c002; to take it back: muster undo 2
[0]
`);
    const marked = await read("marked");
    expect(marked).toContain(`        mac: "52:54:00:00:00:02"
        # !! muster: nodes.c002.devices.eno1.adress: is no field; did you mean address or address6?
        adress: 10.77.0.12
`);
    expect(marked).toContain(
      "#   rootMode                          how the root is kept in memory: squashfs, tmpfs\n",
    );
  });

  it("keeps what was typed when it does not validate and nobody goes on", async () => {
    await willType("sed -i 's/address:/adress:/' $1");
    expect(named(await muster("node edit c002", env()))).toBe(`$ muster node edit c002
2> DIR/EDIT/nodes.yaml:12:9: nodes.c002.devices.eno1.adress: is no field; did you mean address or address6?
2> your text is kept in DIR/EDIT/nodes.yaml: muster apply -f DIR/EDIT/nodes.yaml
2> muster: nothing was changed: 1 finding, listed above and at their lines
[2]
`);
    const [directoryOfEdit = ""] = await kept();
    expect(await read(`${directoryOfEdit}/nodes.yaml`)).toContain("        adress: 10.77.0.12\n");
  });

  it("is not for other names", async () => {
    await willType("sed -i 's/c002:/c003:/' $1");
    expect(named(await muster("node edit c002", env()))).toContain(
      "2> DIR/EDIT/nodes.yaml:6:3: nodes.c003: node c003 is not what is edited; new ones come with muster node add c003, other names with muster node rename\n",
    );
  });

  it("loses nothing when somebody else changes the node meanwhile: both versions are shown", async () => {
    await willType("sed -i 's/10.77.0.12/10.77.0.24/' $1");
    const ask = async (): Promise<string> => {
      await muster("node set c002 --address 10.77.0.25 -y");
      return "y";
    };
    const shown = await muster("node edit c002", { ...env(), ask });
    expect(named(shown)).toContain(`2> changed meanwhile by somebody else:
2>   c002: devices.eno1.address 10.77.0.12 -> 10.77.0.25   (reboot)
2> what you wanted:
2>   c002: devices.eno1.address 10.77.0.12 -> 10.77.0.24   (reboot)
2> your text is kept in DIR/EDIT/nodes.yaml: muster apply -f DIR/EDIT/nodes.yaml
`);
    expect(shown).toMatch(/\[5\]\n$/);
    const [directoryOfEdit = ""] = await kept();
    expect(await muster(`apply -f DIR/${directoryOfEdit}/nodes.yaml -y`)).toContain(
      "c002: devices.eno1.address 10.77.0.25 -> 10.77.0.24   (reboot)\n",
    );
  });

  it("loses nothing when musterd goes away meanwhile", async () => {
    await willType("sed -i 's/10.77.0.12/10.77.0.24/' $1");
    const ask = async (): Promise<string> => {
      await api.close();
      return "y";
    };
    expect(named(await muster("node edit c002", { ...env(), ask }))).toMatch(
      /2> your text is kept in DIR\/EDIT\/nodes\.yaml: muster apply -f DIR\/EDIT\/nodes\.yaml\n2> muster: musterd was there, and went away/,
    );
    const [directoryOfEdit = ""] = await kept();
    expect(await read(`${directoryOfEdit}/nodes.yaml`)).toContain("10.77.0.24");
  });
});
