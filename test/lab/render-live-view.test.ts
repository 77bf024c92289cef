import { expect, test } from "vitest";

import type { BootView, NodeView, PendingView } from "../../controller/api/rest/schemas.ts";
import { planProgress, renderChanges, renderLiveView, type SiteView } from "./render-live-view.ts";

const MACHINE = { name: "c001", mac: "52:54:00:77:0a:00", about: "uefi, 1 socket x 2 cores x 1" };
const EMPTY: SiteView = { nodes: [], boots: [], pending: [] };
const STARTED = Date.parse("2026-11-20T12:00:00Z");
const at = (seconds: number): number => STARTED + seconds * 1000;

function boot(change: Partial<BootView>): BootView {
  const startedAt = new Date(at(4)).toISOString();
  return { bootId: "b", mac: MACHINE.mac, startedAt, outcome: "booting", stages: [], ...change };
}

function node(state: NodeView["status"]["state"]): NodeView {
  const then = new Date(STARTED).toISOString();
  return {
    ...{
      name: "c001",
      revision: 1,
      kernelArguments: [],
      overlays: [],
      runtimeOverlays: [],
      tags: {},
      machine: {},
    },
    ...{ createdAt: then, updatedAt: then, status: { state } },
    devices: [{ name: "eth0", type: "ethernet", mac: MACHINE.mac }],
  };
}

const PENDING = { claimCode: "K7QX", bootMac: MACHINE.mac } as PendingView;
const FETCHING = [
  { stage: "enrol", startedMs: 9000, endedMs: 9500, detail: "" },
  { stage: "fetch", startedMs: 9600, detail: "40 of 97 MB" },
];

test.each([
  ["nothing heard of it", EMPTY, { state: "firmware", share: 0, detail: "", elapsedMs: 20_000 }],
  [
    "another machine's boot",
    { ...EMPTY, boots: [boot({ mac: "52:54:00:00:00:01" })] },
    { state: "firmware", share: 0, detail: "", elapsedMs: 20_000 },
  ],
  [
    "the stage it is in",
    { ...EMPTY, nodes: [node("booting")], boots: [boot({ stages: FETCHING })] },
    { state: "booting", stage: "fetch", share: 11 / 15, detail: "40 of 97 MB", elapsedMs: 20_000 },
  ],
  [
    "its latest boot, whatever the order",
    {
      ...EMPTY,
      boots: [boot({ startedAt: new Date(at(1)).toISOString(), outcome: "failed" }), boot({})],
    },
    { state: "booting", share: 0, detail: "", elapsedMs: 20_000 },
  ],
  [
    "a stranger's claim code",
    {
      ...EMPTY,
      boots: [boot({ stages: [{ stage: "approval", startedMs: 1, detail: "" }] })],
      pending: [PENDING],
    },
    { state: "pending", stage: "approval", share: 9 / 15, detail: "claim code K7QX", elapsedMs: 20_000 },
  ],
  [
    "why it failed",
    {
      ...EMPTY,
      boots: [
        boot({ outcome: "failed", failure: { stage: "fetch", code: "blob-corrupt", what: "bad", fix: "" } }),
      ],
    },
    { state: "failed", share: 0, detail: "bad", elapsedMs: 20_000 },
  ],
  [
    "the time it took, not the time since",
    {
      ...EMPTY,
      nodes: [node("ready")],
      boots: [boot({ outcome: "ready", readyAt: new Date(at(17)).toISOString() })],
    },
    { state: "ready", share: 1, detail: "", elapsedMs: 17_000 },
  ],
] as const)("progress shows %s", (_, site, progress) => {
  expect(planProgress(MACHINE, site, STARTED, at(20))).toEqual({ machine: MACHINE, ...progress });
});

test("a machine is one line, cut at the width of the terminal", () => {
  const site = { ...EMPTY, boots: [boot({ stages: FETCHING })] };
  const progress = [planProgress(MACHINE, site, STARTED, at(20.4))];
  expect(renderLiveView(progress, 200)).toEqual([
    "c001    uefi, 1 socket x 2 cores x 1  [###########....]  booting   fetch        20 s  40 of 97 MB",
  ]);
  expect(renderLiveView(progress, 12)).toEqual(["c001    uefi"]);
});

test("without a terminal only a step further is a line", () => {
  const before = [planProgress(MACHINE, EMPTY, STARTED, at(1))];
  const site = { ...EMPTY, boots: [boot({ stages: FETCHING })] };
  const after = [planProgress(MACHINE, site, STARTED, at(9.7))];
  expect(renderChanges([], before)).toEqual(["   1.0 s  c001  firmware"]);
  expect(renderChanges(before, after)).toEqual(["   9.7 s  c001  booting  fetch  40 of 97 MB"]);
  expect(renderChanges(after, [planProgress(MACHINE, site, STARTED, at(12))])).toEqual([]);
});
