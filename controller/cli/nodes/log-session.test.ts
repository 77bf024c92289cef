import { afterEach, beforeEach, expect, it } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";

import { TEST_NOW } from "../../api/rest/api-test-site.ts";
import { type CliSite, openCliSite } from "../cli-test-site.ts";

const FIRST = "aaaaaaaa-0000-4000-8000-000000000001";
const SECOND = "bbbbbbbb-0000-4000-8000-000000000002";

let cli: CliSite;
let site: CliSite["site"];

beforeEach(async () => {
  cli = await openCliSite();
  ({ site } = cli);
  const fields = { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [] };
  await site.deps.inventory.addNodes(
    ["c001", "c002"].map((name) => ({ name: parseNodeName(name), fields })),
    { user: "root" },
  );
});

afterEach(async () => {
  await cli[Symbol.asyncDispose]();
});

function say(bootId: string, source: string, text: string, seconds: number, node = "c001"): void {
  site.logs.recordLogs([{ node, bootId, source, text, at: new Date(TEST_NOW.getTime() + seconds * 1000) }]);
}

/** As typed; `heard` is told all that is shown so far each time there is more, and can press Ctrl-C. */
function muster(line: string, heard?: (shown: string, stop: () => void) => void): Promise<string> {
  const stop = new AbortController();
  let shown = "";
  const hear = (text: string): void => {
    shown += text;
    heard?.(shown, () => {
      stop.abort();
    });
  };
  return cli.type(line, {
    signal: stop.signal,
    out: hear,
    err: hear,
  });
}

it("shows what a node said, boot by boot, and with a boot's id the kernel log of one that failed", async () => {
  say(FIRST, "boot", "enrolling with 10.77.0.1:9881", 5);
  say(FIRST, "boot", "FAILED: no such image", 9);
  say(SECOND, "agent", "session with 10.77.0.1:9882 open", 60);
  say(SECOND, "agent", "of another node", 60, "c002");
  expect(await muster("node logs c001")).toBe(`$ muster node logs c001
-- boot ${FIRST} --
2026-11-20 12:00:05Z  boot      enrolling with 10.77.0.1:9881
2026-11-20 12:00:09Z  boot      FAILED: no such image
-- boot ${SECOND} --
2026-11-20 12:01:00Z  agent     session with 10.77.0.1:9882 open
[0]
`);
  site.boots.push({
    bootId: FIRST,
    node: "c001",
    mac: "52:54:00:00:00:01",
    startedAt: TEST_NOW,
    outcome: "failed",
    stages: [],
    failure: {
      ...{ stage: "fetch", code: "no-image", what: "no", fix: "" },
      kernelLogTail: "[    7.500000] squashfs: read error",
    },
  });
  expect(
    await muster("node logs c001 --boot AAAA --limit 5"),
  ).toBe(`$ muster node logs c001 --boot AAAA --limit 5
-- boot ${FIRST} --
2026-11-20 12:00:05Z  boot      enrolling with 10.77.0.1:9881
2026-11-20 12:00:07Z  kernel    squashfs: read error
2026-11-20 12:00:09Z  boot      FAILED: no such image
[0]
`);
  expect(await muster("node logs c002 -o json")).toBe(`$ muster node logs c002 -o json
[
  {
    "id": 4,
    "at": "2026-11-20T12:01:00.000Z",
    "boot": "${SECOND}",
    "source": "agent",
    "text": "of another node"
  }
]
[0]
`);
});

it("says when there is nothing, and when there is no such node", async () => {
  expect(await muster("node logs c001")).toBe("$ muster node logs c001\n2> c001 has said nothing yet\n[0]\n");
  expect(await muster("node logs c001 --boot cc")).toBe(
    "$ muster node logs c001 --boot cc\n2> c001 has said nothing yet in such a boot\n[0]\n",
  );
  expect(await muster("node logs c01")).toContain(`2> muster: there is no node "c01"`);
  expect(await muster("node logs c001 --boot x'y")).toBe(`$ muster node logs c001 --boot x'y
2> muster: --boot x'y is no id of a boot
2>   fix: \`muster node boots NODE -o json\` has them; the first characters are enough
[2]
`);
  expect(await muster("node logs c[001-003]")).toBe(`$ muster node logs c[001-003]
2> muster: logs are of one node; c[001-003] are 3
2>   fix: for example muster node logs c001
[2]
`);
});

it("goes on as it comes, without what other nodes or boots say", async () => {
  say(FIRST, "boot", "before", 1);
  let said = false;
  const shown = await muster(`node logs c001 --boot ${FIRST} --follow -o json`, (text, stop) => {
    if (text.includes("before") && !said) {
      said = true;
      say(SECOND, "agent", "another boot", 2);
      say(FIRST, "agent", "another node", 2, "c002");
      say(FIRST, "agent", "after", 3);
    }
    if (text.includes("after")) stop();
  });
  const lines = shown
    .split("\n")
    .slice(1, -2)
    .map((line) => JSON.parse(line) as { text: string });
  expect(lines.map(({ text }) => text)).toEqual(["before", "after"]);
  expect(shown.endsWith("[0]\n")).toBe(true);
});
