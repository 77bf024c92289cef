import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { TEST_NOW } from "../../api/rest/api-test-site.ts";
import { type CliSite, openCliSite } from "../cli-test-site.ts";

const SESSION = fileURLToPath(new URL("../../../test/fixtures/cli/nodes-and-profiles.txt", import.meta.url));

let cli: CliSite;
let now = TEST_NOW;

beforeEach(async () => {
  now = TEST_NOW;
  cli = await openCliSite(() => now);
});
afterEach(async () => cli[Symbol.asyncDispose]());

it("nodes and profiles are worked with as the recorded session shows", async () => {
  const session = await readFile(SESSION, "utf8");
  await expect(await cli.replay(session)).toMatchFileSnapshot(SESSION);
}, 60_000);

describe("at another time", () => {
  beforeEach(async () => {
    now = new Date(TEST_NOW.getTime() - 3 * 86_400_000);
    await cli.type("profile add gpu --mtu 1500");
    await cli.type("node add c[001-003] --profile gpu --image ''");
    now = new Date(TEST_NOW.getTime() - 86_400_000);
    await cli.type("profile set gpu --mtu 9000");
    await cli.type("node set c003 --comment 'new fan'");
  });

  it("nodes and profiles are shown as they were", async () => {
    expect(await cli.type("node show c003 --at '2 days ago'")).toBe(`$ muster node show c003 --at '2 days ago'
name:   c003
as of:  2026-11-18 12:00:00Z

FIELD             VALUE
profiles          [gpu]
devices.eno1.mtu  1500
[0]
`);
    expect(await cli.type("profile show gpu --at '2 days ago'")).toContain("devices.eno1.mtu  1500\n");
    expect(await cli.type("node show c003 --at '2 days ago' --explain")).toContain(
      "devices.eno1.mtu  1500   profile gpu  -\n",
    );
    expect(
      JSON.parse((await cli.type("node show c003 --at '2 days ago' -o json")).replace(/^.*\n|\[0\]\n$/g, "")),
    ).toEqual({
      name: "c003",
      at: "2026-11-18T12:00:00.000Z",
      fields: { profiles: ["gpu"], devices: { eno1: { mtu: 1500 } } },
      written: { profiles: ["gpu"] },
    });
  });

  it("nodes are compared with themselves, and folded where they changed alike", async () => {
    expect(
      await cli.type("node diff c[001-003] --at '2 days ago'"),
    ).toBe(`$ muster node diff c[001-003] --at '2 days ago'
FIELD             c[001-003] 2026-11-18 12:00:00Z  c[001-003] now
comment           -                                "new fan"
devices.eno1.mtu  1500                             9000
[1]
`);
    expect(await cli.type("node diff c001 c003 --at '2 days ago'")).toContain("2> no field differs\n[0]");
    expect(await cli.type("node diff c001 c003")).toContain("[1]");
  });

  it("a node that was not there yet is not known", async () => {
    expect(await cli.type("node show c001 --at '5 days ago'")).toContain('there is no node "c001"');
  });
});

describe("a question", () => {
  const asked: string[] = [];
  const terminal = (answer: string): object => ({
    errIsTerminal: true,
    ask: async (question: string) => {
      asked.push(question);
      return answer;
    },
  });
  beforeEach(async () => {
    asked.length = 0;
    await cli.type("profile add gpu");
    await cli.type("node add c[001-051] --profile gpu");
  });

  it("is asked before more than 50 nodes are different, and a no changes nothing", async () => {
    expect(await cli.type("node set c[001-050] --mtu 9000", terminal("n"))).toContain("change ");
    expect(asked).toEqual([]);
    expect(await cli.type("node set c[001-051] --mtu 1500", terminal("n"))).toMatch(/\n\[1\]\n$/);
    expect(await cli.type("profile set gpu --mtu 1500", terminal("n"))).toMatch(/\n\[1\]\n$/);
    expect(asked).toEqual(["Change 51 nodes c[001-051]? [y/N] ", "Change profile gpu? [y/N] "]);
    expect(await cli.type("node show c050 --explain")).toContain("devices.eno1.mtu  9000   node");
    expect(await cli.type("node set c[001-051] --mtu 1500 --yes", terminal("n"))).toContain("change ");
    expect(await cli.type("node unset c[001-051] devices.eno1.mtu", terminal("y"))).toMatch(/\n\[0\]\n$/);
    expect(asked).toHaveLength(3);
  });

  it("is asked before anything is deleted or renamed, and says how many run", async () => {
    cli.site.statuses.set("c002", { node: "c002" as never, state: "ready" });
    await cli.type("node delete c[002-003]", terminal("y"));
    await cli.type("node rename c004 x004", terminal("y"));
    await cli.type("profile rename gpu fast", terminal("n"));
    expect(asked).toEqual([
      "Delete 2 nodes c[002-003], 1 of them running? [y/N] ",
      "Rename node c004 to x004? [y/N] ",
      "Rename profile gpu to fast? [y/N] ",
    ]);
    expect(await cli.type("node list c002")).toContain("[4]");
    expect(await cli.type("node show x004")).toContain("[0]");
    expect(await cli.type("profile list")).toContain("gpu ");
  });
});

it("new nodes take from profile default when there is one, unless they are told otherwise", async () => {
  await cli.type("node add c001");
  await cli.type("profile add default,gpu");
  await cli.type("node add c002");
  await cli.type("node add c003 --profile gpu");
  await cli.type("node add c004 --profile ''");
  const list = JSON.parse((await cli.type("profile list -o json")).replace(/^.*\n|\[0\]\n$/g, "")) as {
    name: string;
    nodes: string[];
  }[];
  expect(list.map(({ name, nodes }) => [name, nodes])).toEqual([
    ["default", ["c002"]],
    ["gpu", ["c003"]],
  ]);
});

it("a secret is read from a file, and refused when there is none in it", async () => {
  await cli.type("node add c001");
  expect(await cli.type("node set c001 --bmc-password-file /nonexistent")).toMatch(
    /cannot read \/nonexistent.*\n.*fix: name a file.*\n\[2\]\n$/,
  );
  expect(await cli.type("node set c001 --bmc-password-file /dev/null")).toContain("/dev/null is empty");
  const input = Readable.from(["from a pipe\n"]);
  await cli.type("node set c001 --bmc-password-file -", { input });
  expect(await cli.type("node show c001 --secrets")).toContain('bmc.password  "from a pipe"\n');
  await cli.type("node set c001 bmc.password=abc");
  expect(await cli.type("node show c001")).toContain("bmc.password  (kept)");
  expect(await cli.type("node show c001 --secrets")).toContain("bmc.password  abc");
  await cli.type("node set c001 --bmc-password-file ''");
  expect(await cli.type("node show c001")).not.toContain("bmc.password");
});

it("thousands of names that do not fold into a URL are asked for without one", async () => {
  const names = Array.from({ length: 1500 }, (_, at) => `c${at * 2}`).join(",");
  await cli.type(`node add ${names}`);
  expect(await cli.type(`node set ${names} --comment x`)).toContain("change ");
  expect(await cli.type(`node set ${names},c1 --comment y`)).toContain("there is no node c1\n");
  expect(await cli.type(`node delete ${names} --yes`)).toMatch(/\n\[0\]\n$/);
}, 30_000);

describe("completion", () => {
  const complete = async (line: string): Promise<readonly string[]> =>
    (await cli.type(`__complete -- ${line}`)).split("\n").slice(1, -2);

  beforeEach(async () => {
    await cli.type("profile add gpu --mtu 9000 --device ib0");
    await cli.type("node add c001 --profile gpu --tag rack=7 --device eno2 --mac 52:54:00:00:00:01");
  });

  it.each([
    ["pro", ["profile"]],
    ["profile show ", ["gpu"]],
    ["node rename c", ["c001"]],
    ["node diff c001 c", ["c001"]],
    ["node set c001 --append-over", ["--append-overlay"]],
    ["node set c001 --overlay ", ["site"]],
    ["node set c001 --remove-profile ", ["gpu"]],
    ["node set c001 --bond-mode ac", ["active-backup"]],
    ["node set c001 --on-boot ", ["true", "false"]],
    ["node set c001 --device ", ["eno2", "ib0"]],
    ["node set c001 --untag ", ["rack"]],
    ["node set c001 devices.ib0.mt", ["devices.ib0.mtu="]],
    ["node set c001 tags.", ["tags.rack="]],
    ["node set c009 devices.eno1.mt", ["devices.eno1.mtu="]],
    ["node set c001 devices.eno2.type=in", ["devices.eno2.type=infiniband"]],
    ["node set c001 rootMode=", ["rootMode=squashfs", "rootMode=tmpfs"]],
    ["node unset c001 ", ["profiles", "devices", "devices.eno2", "devices.eno2.mac", "tags", "tags.rack"]],
    ["profile unset gpu devices.ib0.", ["devices.ib0.mtu"]],
    ["profile set gpu assetK", []],
  ])("of %s is %j", async (line, expected) => {
    const words = line.endsWith(" ") ? `${line}''` : line;
    expect(await complete(words)).toEqual(expected);
  });
});
