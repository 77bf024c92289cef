import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";

import { TEST_NOW } from "../../api/rest/api-test-site.ts";
import { type CliSite, openCliSite } from "../cli-test-site.ts";
import type { CliProcess } from "../cli-context.ts";

const [C001, C002] = [parseNodeName("c001"), parseNodeName("c002")];
const WHAT = "10.77.0.99 (52:54:00:12:34:56) claimed to be c002, which it is not, with its MAC address";

let cli: CliSite;
let site: CliSite["site"];

beforeEach(async () => {
  cli = await openCliSite();
  ({ site } = cli);
  const fields = { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [] };
  const nodes = [C001, C002].map((name) => ({ name, fields }));
  await site.deps.inventory.addNodes(nodes, { user: "root" });
  await site.deps.inventory.recordIdentity({
    node: C001,
    bootId: "boot-1",
    keyHash: "k",
    certificateSerial: "s",
    issuedAt: TEST_NOW,
    expiresAt: new Date(TEST_NOW.getTime() + 3_600_000),
  });
  site.statuses.set("c001", { node: C001, state: "ready", bootId: "boot-1" });
  const alert = { kind: "impostor", what: WHAT, at: new Date(TEST_NOW.getTime() - 60_000) };
  site.statuses.set("c002", { node: C002, state: "ready", bootId: "boot-1", alert });
  await site.deps.inventory.putAlert({ node: C002, ...alert });
});

afterEach(async () => {
  await cli[Symbol.asyncDispose]();
});

const muster = (line: string, more?: Partial<CliProcess>): Promise<string> => cli.type(line, more);

describe("muster node revoke", () => {
  it("voids identities, names nodes that had none, and tells why in events and to those turned away", async () => {
    expect(await muster("node revoke c[001-002] -y -m 'stolen from the rack'")).toBe(
      `$ muster node revoke c[001-002] -y -m 'stolen from the rack'
2> revoked 1 identity: c001
2> c002: no identity to revoke
[0]
`,
    );
    const denied = await site.deps.inventory.findDeniedBoot(C001, "boot-1");
    expect(denied?.why).toMatch(/^the identity of c001 was revoked by \S+: stolen from the rack$/);
    expect(await site.deps.inventory.findIdentity(C001)).toBeUndefined();
    expect(await muster("events --limit 5")).toMatch(
      /identity-revoked {2}c001 {2}the identity of c001 was revoked/,
    );
  });

  it("asks first, and does nothing without a yes", async () => {
    expect(
      await muster("node revoke c001", {
        ask: async (question) => (question.includes("1 of them running") ? "n" : "y"),
      }),
    ).toBe(
      `$ muster node revoke c001
2> nothing was done
[1]
`,
    );
    expect(await site.deps.inventory.findIdentity(C001)).toBeDefined();
  });

  it("refuses a set with a node that does not exist, and revokes nothing", async () => {
    expect(await muster("node revoke c[001-003] -y")).toMatch(/there is no node "c003"[\s\S]*\[4\]/);
    expect(await site.deps.inventory.findIdentity(C001)).toBeDefined();
  });
});

describe("an alert", () => {
  it("is a column, and a line below the table", async () => {
    expect(await muster("node list")).toBe(`$ muster node list
NAME  STATE  STAGE  IMAGE  BOOT(s)  LAST SEEN  ADDRESS  ALERT
c001  ready  -      -            -  -          -        -
c002  ready  -      -            -  -          -        impostor
2> 2 ready c[001-002]
2> alert: c002: ${WHAT}
2> when that is settled: muster node clear-alert c002
[0]
`);
  });

  it("makes the line of its node red on a terminal, unless colours are not wanted", async () => {
    const red = "\u001b[31mc002  ready";
    expect(await muster("node list", { outIsTerminal: true })).toContain(red);
    const env = { MUSTER_SOCKET: join(site.directory, "control.sock"), NO_COLOR: "1" };
    expect(await muster("node list", { outIsTerminal: true, env })).not.toContain(red);
  });

  it("is shown with its node, counted by status, and in JSON", async () => {
    expect(await muster("node show c002")).toContain(`${WHAT} (60 s ago; muster node clear-alert c002)`);
    expect(await muster("status")).toMatch(/alerts: +1 node: muster node list/);
    expect(await muster("node list c002 -o json")).toContain(
      `"alert": {\n        "kind": "impostor",\n        "what": "${WHAT}",`,
    );
  });

  it("goes when it is cleared", async () => {
    expect(await muster("node clear-alert c[001-002]")).toBe(
      "$ muster node clear-alert c[001-002]\n2> cleared 1 alert: c002\n[0]\n",
    );
    expect(await muster("node clear-alert c002")).toBe(
      "$ muster node clear-alert c002\n2> no alert on c002\n[0]\n",
    );
  });
});
