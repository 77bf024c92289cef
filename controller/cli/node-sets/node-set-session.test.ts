import { Readable } from "node:stream";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";

import { type CliSite, openCliSite } from "../cli-test-site.ts";
import { typeCommand } from "../type-command.ts";

/** Sets without groups are nobody's business but the command's. */
const nobody = (line: string, input = ""): Promise<string> =>
  typeCommand("/nonexistent", line, { input: Readable.from([input]) });

describe("muster nodeset without a controller", () => {
  it.each([
    ["nodeset fold c003 c001,c002 login", "c[001-003],login\n[0]\n"],
    ["nodeset expand c[1-3]!c2", "c1\nc3\n[0]\n"],
    ["nodeset expand -S , c[1-3]", "c1,c2,c3\n[0]\n"],
    ["nodeset expand -S '\\t' c[1-2]", "c1\tc2\n[0]\n"],
    ["nodeset count c[001-100]&c[050-200]", "51\n[0]\n"],
    ["nodeset count c1!c1", "0\n[0]\n"],
    ["nodeset fold c1!c1", "[0]\n"],
    ["nodeset expand -o json c[1-2]", '[\n  "c1",\n  "c2"\n]\n[0]\n'],
    [
      "nodeset count c[1-2",
      '2> muster: node set "c[1-2", column 2: this "[" has no "]"\n2>   fix: write names like c[001-064,070],login\n[2]\n',
    ],
  ])("%s", async (line, shown) => {
    expect(await nobody(line)).toBe(`$ muster ${line}\n${shown}`);
  });

  it("reads names from standard input, however they stand in lines", async () => {
    expect(await nobody("nodeset fold", "c001\nc003 c002\n\nlogin\n")).toBe(
      "$ muster nodeset fold\nc[001-003],login\n[0]\n",
    );
    expect(await nobody("nodeset fold", "\n")).toBe("$ muster nodeset fold\n[0]\n");
    expect(await nobody("nodeset count", "")).toBe("$ muster nodeset count\n0\n[0]\n");
  });

  it("tells that a group needs the controller by not reaching it", async () => {
    expect(await nobody("nodeset count @up")).toContain("cannot reach musterd at /nonexistent");
  });
});

describe("groups of nodes", () => {
  let cli: CliSite;
  beforeAll(async () => {
    cli = await openCliSite();
    const { inventory } = cli.site.deps;
    await inventory.commit(
      [
        { kind: "profile", name: "compute", revision: 0, fields: { tags: { room: "7" } } },
        { kind: "profile", name: "gpu", revision: 0, fields: { profiles: ["compute"], overlays: ["site"] } },
        { kind: "profile", name: "idle", revision: 0, fields: {} },
        { kind: "node", name: "c001", revision: 0, fields: { profiles: ["compute"] } },
        { kind: "node", name: "c002", revision: 0, fields: { profiles: ["compute"], tags: { rack: "2" } } },
        { kind: "node", name: "gpu1", revision: 0, fields: { profiles: ["gpu"], tags: { rack: "1" } } },
        { kind: "node", name: "gpu2", revision: 0, fields: { profiles: ["gpu", "~compute"] } },
        { kind: "node", name: "login", revision: 0, fields: {} },
      ],
      { user: "root" },
    );
    cli.site.statuses.set("c001", { node: parseNodeName("c001"), state: "ready" });
    cli.site.statuses.set("gpu1", { node: parseNodeName("gpu1"), state: "ready" });
    cli.site.statuses.set("c002", { node: parseNodeName("c002"), state: "failed" });
  });
  afterAll(async () => {
    await cli[Symbol.asyncDispose]();
  });

  it("reads like this", async () => {
    const session = `$ muster nodeset groups
GROUP               NODES
@all                    5
@up                     2
@profile:compute        3
@profile:gpu            2
@profile:idle           0
@overlay:site           2
@state:booting          0
@state:failed           1
@state:new              2
@state:ready            2
@state:unreachable      0
@tag:rack               2
@tag:rack=1             1
@tag:rack=2             1
@tag:room               3
@tag:room=7             3
[0]
# a profile's nodes are also those that have it by way of another; gpu2 took it out
$ muster nodeset fold @profile:compute
c[001-002],gpu1
[0]
$ muster nodeset fold @all!@profile:gpu
c[001-002],login
[0]
$ muster nodeset fold '@up & @tag:room'
c001,gpu1
[0]
$ muster nodeset fold @tag:rack=[1-2]
c002,gpu1
[0]
$ muster nodeset fold c*,@profile:g*
c[001-002],gpu[1-2]
[0]
$ muster nodeset count @state:booting
0
[0]
$ muster node list @profile:gpu
NAME  STATE  STAGE  IMAGE  BOOT(s)  LAST SEEN  ADDRESS
gpu1  ready  -      -            -  -          -
gpu2  new    -      -            -  -          -
2> 1 ready gpu1, 1 new gpu2
[0]
$ muster node list @up -o nodeset
c001,gpu1
[0]
$ muster node list @up -o names
c001
gpu1
[0]
$ muster node list @state:booting
2> no node is in @state:booting now
[0]
# what acts refuses a set that nobody is in
$ muster node clear-alert @state:booting
2> muster: node set "@state:booting", column 1: no node is in it now
2>   fix: \`muster node list\` shows all nodes and what they do
[2]
$ muster nodeset fold c001,@profile:gpuu
2> muster: node set "c001,@profile:gpuu", column 6: there is no profile "gpuu"
2>   fix: did you mean @profile:gpu?
[2]
$ muster nodeset fold @gpu
2> muster: node set "@gpu", column 1: there is no group @gpu
2>   fix: did you mean @profile:gpu?
[2]
$ muster nodeset fold @profil:gpu
2> muster: node set "@profil:gpu", column 1: there are no groups of "profil"
2>   fix: did you mean @profile:gpu?
[2]
$ muster nodeset fold @tag:rack=9
2> muster: node set "@tag:rack=9", column 1: no node has the tag "rack=9"
2>   fix: did you mean @tag:rack=1 or @tag:rack=2?
[2]
`;
    expect(await cli.replay(session)).toBe(session);
  });

  it.each([
    ["node list @st", "@state:booting\n@state:failed\n@state:new\n@state:ready\n@state:unreachable\n"],
    ["node list c001,@profile:i", "c001,@profile:idle\n"],
    ["node list @up!log", "@up!login\n"],
    ["nodeset fold login c001,gp", "c001,gpu1\nc001,gpu2\n"],
  ])("completes %s", async (words, shown) => {
    expect(await cli.type(`__complete -- ${words}`)).toBe(`$ muster __complete -- ${words}\n${shown}[0]\n`);
  });
});
