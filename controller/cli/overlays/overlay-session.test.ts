import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";

import { TEST_NOW } from "../../api/rest/api-test-site.ts";
import type { OverlayReport } from "../../overlays/overlay-report.ts";
import type { NodeOverlay } from "../../overlays/serve-runtime-overlays.ts";
import { type CliSite, openCliSite } from "../cli-test-site.ts";
import type { CliProcess } from "../cli-context.ts";

const [WANTED, OLD] = [digestOfHex("a1b2c3d4".repeat(8)), digestOfHex("0badcafe".repeat(8))];
const FIELDS = { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [] };

let cli: CliSite;
let site: CliSite["site"];

beforeEach(async () => {
  cli = await openCliSite();
  ({ site } = cli);
});
afterEach(async () => {
  await cli[Symbol.asyncDispose]();
});

async function addNodes(...names: string[]): Promise<void> {
  await site.deps.inventory.addNodes(
    names.map((name) => ({ name: parseNodeName(name), fields: FIELDS })),
    { user: "root" },
  );
}

function set(name: string, verdict: NodeOverlay["verdict"], report?: Partial<OverlayReport>): void {
  const whole: OverlayReport | undefined = report && {
    ...{ digest: WANTED, appliedAt: new Date(TEST_NOW.getTime() - 130_000), reportedAt: TEST_NOW },
    ...{ failure: undefined, drift: [], driftCount: 0, reactions: [], ...report },
  };
  site.overlays.set(name, { overlays: ["site"], verdict, wanted: WANTED, trouble: undefined, report: whole });
}

const muster = (line: string, more?: Partial<CliProcess>): Promise<string> => cli.type(line, more);

describe("muster overlay status", () => {
  it("is one line when all is well", async () => {
    await addNodes("c001", "c002", "c003");
    for (const name of ["c001", "c002", "c003"]) set(name, "current", {});
    expect(await muster("overlay status")).toBe(`$ muster overlay status
c[001-003]: current (a1b2c3d4), applied 2 min ago
[0]
`);
    expect(JSON.parse((await muster("overlay status c002 -o json")).replace(/^.*\n|\[0\]\n$/g, ""))).toEqual({
      troubles: [],
      nodes: [
        {
          ...{ node: "c002", overlays: ["site"], verdict: "current", wanted: WANTED, applied: WANTED },
          ...{ appliedAt: "2026-11-20T11:57:50.000Z", reportedAt: "2026-11-20T12:00:00.000Z" },
          ...{ drift: [], driftCount: 0, reactions: [] },
        },
      ],
    });
  });

  it("says of every other node what is wrong, the worst last, and fails", async () => {
    await addNodes("c001", "c002", "c003", "c004", "c005", "c006", "c007", "c008");
    set("c001", "current", {});
    set("c002", "outdated", { digest: OLD });
    set("c003", "unreachable", {});
    set("c004", "unreachable");
    set("c005", "unknown");
    const drift = [
      { path: "/etc/motd", what: "content", repaired: false },
      { path: "/etc/a", what: "mode 0600, should be 0644", repaired: true },
    ];
    set("c006", "drifted", { drift, driftCount: 2 });
    const outputTail = "Job for chronyd.service failed.\nSee journalctl.\n";
    const reactions = [
      { command: "systemctl try-restart chronyd", failure: "exit status 1", outputTail, durationMs: 9 },
    ];
    set("c007", "reaction-failed", { reactions });
    const failure = { digest: WANTED, code: "disk-full", what: "no space left on /", fix: "make room on it" };
    set("c008", "failed", { digest: OLD, failure });
    site.overlayTroubles.push({ overlay: "site", what: "overlay site: x:1:1: y", fix: "correct x" });
    expect(await muster("overlay status")).toBe(`$ muster overlay status
c001: current (a1b2c3d4), applied 2 min ago
c002: not yet a1b2c3d4: has 0badcafe, applied 2 min ago
c005: has not said what it has
c003: no session; had a1b2c3d4, applied 2 min ago
c004: no session
c006: changed on the node (2 paths), left as it is
  /etc/motd: content
  /etc/a: mode 0600, should be 0644 (put right)
c007: applied (a1b2c3d4), applied 2 min ago, but a reaction failed
  systemctl try-restart chronyd: exit status 1
    Job for chronyd.service failed.
    See journalctl.
c008: failed: no space left on /
  fix: make room on it
  it keeps 0badcafe
2> error: overlay site: x:1:1: y; nodes keep what they have of it
2>   fix: correct x
2> 7 of 8 nodes not current
[1]
`);
    site.statuses.set("c008", { node: parseNodeName("c008"), state: "ready" });
    expect(await muster("node list c008")).toMatch(/c008 {2}ready {2}overlay {2}/);
    expect(await muster("node show c008")).toContain(
      "overlay trouble:  no space left on / (muster overlay status c008)\n",
    );
  });
});

describe("muster node refresh", () => {
  it("with --wait tells what each did, and of those that could not be asked why", async () => {
    await addNodes("c001", "c002", "c003", "c004", "c005");
    for (const name of ["c001", "c002"]) site.answers.set(name, async () => ["2 paths changed"]);
    site.answers.set("c003", async () => {
      throw new MusterError({ code: "disk-full", what: "no space left on /", fix: "make room" });
    });
    expect(await muster("node refresh c[001-005] --wait")).toBe(`$ muster node refresh c[001-005] --wait
c[001-002]: 2 paths changed
2> c003: no space left on /
2>   fix: make room
2> c[004-005]: no session
2>   fix: see what it does: muster node list c[004-005]; when it is up, look at its muster-agent.service
[1]
`);
  });

  it("without --wait only asks", async () => {
    await addNodes("c001", "c002");
    for (const name of ["c001", "c002"])
      site.answers.set(name, async () => new Promise<never>(() => undefined));
    expect(await muster("node refresh c[001-002]")).toBe(`$ muster node refresh c[001-002]
2> asked c[001-002]; not waited for: muster overlay status shows what comes of it
[0]
`);
    expect(await muster("node refresh c009")).toMatch(/there is no node "c009"[^]*\[4\]\n$/);
    expect(await muster("node refresh c001 --timeout soon")).toMatch(/--timeout soon: .*\n.*\[?[^]*\[2\]\n$/);
  });
});

describe("overlays of a node", () => {
  it("are those of this controller, or refused with the list of them", async () => {
    expect(await muster("node add c001 --runtime-overlay site --runtime-overlay chrony")).toBe(
      `$ muster node add c001 --runtime-overlay site --runtime-overlay chrony
2> muster: c001: there is no overlay "chrony"
2>   fix: there are: site
[4]
`,
    );
    expect(await muster("node add c001 --runtime-overlay site")).toContain("change 1: 1 node c001;");
    expect(await muster("node set c001 --overlay chrony")).toMatch(
      /there is no overlay "chrony"[^]*\[4\]\n$/,
    );
    expect(await muster("node show c001")).toContain("runtime overlays:  site\n");
    site.overlays.set("c001", {
      ...{
        overlays: ["site"],
        verdict: "unreachable",
        wanted: undefined,
        trouble: undefined,
        report: undefined,
      },
    });
    expect(await muster("overlay list")).toBe(`$ muster overlay list
NAME  SYSTEM  RUNTIME  PATH
site  -       c001     /var/lib/muster/overlays/site
[0]
`);
  });

  it("are given to a machine with its approval", async () => {
    await site.wait("K7QM-2XHD", "52:54:00:00:00:09");
    expect(await muster("node approve K7QM-2XHD --name c004 --runtime-overlay chrony")).toMatch(
      /there is no overlay "chrony"/,
    );
    await muster("node approve K7QM-2XHD --name c004 --runtime-overlay site --overlay site");
    expect(await muster("node show c004")).toMatch(/\noverlays: +site\nruntime overlays: +site\n/);
  });

  it("that are gone do not keep the node from being changed", async () => {
    const fields = { ...FIELDS, runtimeOverlays: ["gone"] };
    await site.deps.inventory.addNodes([{ name: parseNodeName("c001"), fields }], { user: "root" });
    expect(await muster("node set c001 --comment x")).toContain("change 2: 1 node c001;");
    expect(await muster("node set c001 --runtime-overlay=")).toContain("change 3: 1 node c001;");
    expect(await muster("node show c001")).not.toContain("runtime overlays");
  });
});
