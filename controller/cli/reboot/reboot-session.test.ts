import { join } from "node:path";

import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { MusterError } from "#proto/contract/muster-error.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";

import { openTestSite, TEST_NOW, type TestSite } from "../../api/rest/api-test-site.ts";
import { createApi } from "../../api/rest/create-api.ts";
import { listenOnSocket } from "../../api/rest/listen.ts";
import type { NodeStatus } from "../../sessions/fleet.ts";
import type { DirectiveAction } from "../../sessions/open-directives.ts";
import type { CliProcess } from "../cli-context.ts";
import { typeCommand } from "../type-command.ts";

let site: TestSite;
let api: FastifyInstance;
let nowMs: number;
let asked: [string, DirectiveAction][];

beforeEach(async () => {
  site = await openTestSite();
  api = await createApi(site.deps, { by: "socket" });
  await listenOnSocket(api, join(site.directory, "control.sock"), "root");
  nowMs = TEST_NOW.getTime();
  asked = [];
  const fields = { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [] };
  const names = ["c001", "c002", "c003"].map(parseNodeName);
  await site.deps.inventory.addNodes(
    names.map((name) => ({ name, fields: name === "c003" ? { ...fields, overlays: ["site"] } : fields })),
    { user: "root" },
  );
  await addVersion("6.1.0-1");
  await addVersion("6.1.0-2");
  for (const name of ["c001", "c002"]) {
    set(name, { state: "ready", bootId: "old", image: "debian12", imageVersion: 1 });
    answer(name, async () => ["restarting"]);
  }
  set("c003", { state: "unreachable", bootId: "old", image: "debian12", imageVersion: 2 });
});

afterEach(async () => {
  await api.close();
  await site[Symbol.asyncDispose]();
});

function set(name: string, status: Omit<NodeStatus, "node">): void {
  site.statuses.set(name, { node: parseNodeName(name), ...status });
}

function answer(name: string, how: (action: DirectiveAction) => Promise<readonly string[]>): void {
  site.answers.set(name, (action) => {
    asked.push([name, action]);
    return how(action);
  });
}

async function addVersion(kernelRelease: string): Promise<void> {
  const blob = await site.deps.blobs.put(
    (async function* () {
      yield Buffer.from(kernelRelease);
    })(),
  );
  await site.deps.inventory.addImageVersion(
    {
      image: "debian12",
      kernelRelease,
      architecture: "x86_64",
      features: { initramfsCompression: "zstd", squashfsCompression: "zstd" },
      kernel: blob,
      modules: blob,
      layers: [blob],
      source: "/tree",
    },
    { user: "root" },
  );
}

/** As typed. Each wait takes its time at once, then `tick` is called. */
function muster(
  line: string,
  { tick, ...more }: Partial<CliProcess> & { readonly tick?: () => void } = {},
): Promise<string> {
  return typeCommand(join(site.directory, "control.sock"), line, {
    now: () => new Date(nowMs),
    wait: async (ms) => {
      nowMs += ms;
      tick?.();
    },
    ...more,
  });
}

describe("muster reboot", () => {
  it("says with --plan what would happen, and asks nobody", async () => {
    expect(await muster("reboot --plan c[001-003]")).toBe(`$ muster reboot --plan c[001-003]
NODES       STATE                         NOW          NEXT BOOT    KERNEL              OVERLAYS
c[001-002]  ready                         debian12 v1  debian12 v2  6.1.0-1 -> 6.1.0-2  -
c003        unreachable: cannot be asked  debian12 v2  the same     6.1.0-2             site
2> c003: cannot be asked: no session
[0]
`);
    expect(asked).toEqual([]);
  });

  it("restarts one node without a question, with who and why in events and in what the node is told", async () => {
    expect(await muster("reboot c001 -m 'new kernel'")).toBe(`$ muster reboot c001 -m 'new kernel'
2> c001: restarting
[0]
`);
    expect(asked).toEqual([
      ["c001", { $case: "reboot", value: { reason: "asked by root: new kernel", force: false } }],
    ]);
    expect(site.restarted).toEqual(["c001"]);
    const events = await site.deps.telemetry.listEvents({ limit: 10 });
    expect(events.map(({ kind, node, what }) => [kind, node, what])).toEqual([
      ["reboot-asked", "c001", "reboot of c001 asked by root: new kernel"],
    ]);
  });

  it("asks before it restarts several, and does nothing without a yes", async () => {
    const questions: string[] = [];
    const ask = async (question: string): Promise<string> => {
      questions.push(question);
      return "n";
    };
    expect(await muster("reboot c[001-003]", { ask })).toContain("2> nothing was done\n[1]");
    expect(questions).toEqual(["Restart 2 running nodes c[001-002] (1 of the set cannot be)? [y/N] "]);
    expect(await muster("reboot c[001-002]")).toContain("there is no terminal to ask on");
    expect(asked).toEqual([]);
  });

  it("tells folded who could not be asked, and fails", async () => {
    answer("c002", () =>
      Promise.reject(new MusterError({ code: "node-restarting", what: "the node is restarting" })),
    );
    expect(await muster("reboot -y c[001-003]")).toBe(`$ muster reboot -y c[001-003]
2> c002: the node is restarting
2> c003: cannot be asked: no session
2> c001: restarting
[1]
`);
    expect(site.restarted).toEqual(["c001"]);
  });

  it("does not restart a node that would boot nothing", async () => {
    const deps = { ...site.deps, defaultImage: "gone" };
    await api.close();
    api = await createApi(deps, { by: "socket" });
    await listenOnSocket(api, join(site.directory, "control.sock"), "root");
    expect(await muster("reboot c001")).toBe(`$ muster reboot c001
2> c001: would not boot: there is no image gone
2>   fix: on the controller: muster image import DIR --name gone, or give the node another image
[1]
`);
    expect(asked).toEqual([]);
  });

  it("waits until all are ready in another boot", async () => {
    let second = 0;
    const tick = (): void => {
      second += 1;
      if (second === 1) set("c001", { state: "booting", stage: "fetch", bootId: "new" });
      if (second === 2) set("c002", { state: "ready", bootId: "new2" });
      if (second === 3) set("c001", { state: "ready", bootId: "new" });
    };
    expect(await muster("reboot -y --wait c[001-002]", { tick })).toBe(`$ muster reboot -y --wait c[001-002]
2> c[001-002]: restarting
2> c002: ready
2> c001: ready
2> 2 of 2 ready
[0]
`);
    expect(second).toBe(3);
  });

  it("tells what each node that did not come back is at, and fails", async () => {
    set("c003", { state: "ready", bootId: "old", image: "debian12", imageVersion: 2 });
    answer("c003", async () => ["restarting"]);
    let second = 0;
    const failure = {
      stage: "fetch",
      code: "x",
      what: "layer 1 does not verify",
      fix: "",
      kernelLogTail: "",
    };
    const tick = (): void => {
      second += 1;
      if (second === 2) set("c001", { state: "failed", bootId: "new", failure });
      if (second === 3) set("c002", { state: "booting", stage: "restarting", bootId: "old" });
    };
    expect(await muster("reboot -y --wait --timeout 2m c[001-003]", { tick })).toBe(
      `$ muster reboot -y --wait --timeout 2m c[001-003]
2> c[001-003]: restarting
2> c001: failed at fetch: layer 1 does not verify
2> c001: failed at fetch: layer 1 does not verify
2> c002: went down, and gave no sign of its next boot within 2 min
2> c003: did not go down within 2 min: still up in the boot it was asked in
2> 0 of 3 ready
[1]
`,
    );
    expect(nowMs - TEST_NOW.getTime()).toBe(120_000);
  });

  it("prints results as JSON", async () => {
    expect(await muster("reboot -y c[001,003] -o json")).toBe(`$ muster reboot -y c[001,003] -o json
2> c003: cannot be asked: no session
2> c001: restarting
[
  {
    "node": "c003",
    "result": "failed",
    "what": "cannot be asked: no session"
  },
  {
    "node": "c001",
    "result": "restarting"
  }
]
[1]
`);
  });

  it("refuses a time that is none", async () => {
    expect(await muster("reboot c001 --wait --timeout soon")).toBe(`$ muster reboot c001 --wait --timeout soon
2> muster: --timeout: "soon" is not a duration
2>   fix: write a number and s, m, h or d, for example 10m
[2]
`);
  });
});

describe("muster node check", () => {
  it("folds what is the same, what is wrong first, and fails when anything is", async () => {
    answer("c001", async () => ["ok overlay: as it should be", "ok clock: within 2 s of the controller's"]);
    answer("c002", async () => [
      "ok overlay: as it should be",
      "failed clock: 61.0 s behind the controller's",
    ]);
    expect(await muster("node check c[001-003]")).toBe(`$ muster node check c[001-003]
NODES       CHECK    RESULT  FOUND
c002        clock    failed  61.0 s behind the controller's
c[001-002]  overlay  ok      as it should be
c001        clock    ok      within 2 s of the controller's
2> c003: no session
2>   fix: see what it does: muster node list c003; when it is up, look at its muster-agent.service
2> 2 of 3 nodes failed
[1]
`);
    expect(asked[0]).toEqual([
      "c001",
      { $case: "runCheck", value: { name: "", controllerTimeMs: TEST_NOW.getTime() } },
    ]);
  });

  it("asks for one check, and is content when that is right", async () => {
    answer("c001", async () => ["ok root: at least 5 % of / free"]);
    expect(await muster("node check c001 --check root")).toBe(`$ muster node check c001 --check root
NODES  CHECK  RESULT  FOUND
c001   root   ok      at least 5 % of / free
2> 1 node as they should be
[0]
`);
    expect(asked[0]?.[1]).toMatchObject({ value: { name: "root" } });
  });

  it("takes an answer it cannot read for a failure", async () => {
    answer("c001", async () => ["weather: fine"]);
    expect(await muster("node check c001")).toContain("c001   ?      failed  weather: fine");
  });
});
