import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { expect, test } from "vitest";

import type { HardwareList } from "../../controller/api/rest/hardware-routes.ts";
import type { OverlayStatusView } from "../../controller/api/rest/overlay-routes.ts";
import { openFleet } from "../fleet/open-fleet.ts";
import { waitFor } from "../lab/wait-for.ts";
import { listNodes, openCluster, writeOverlay } from "./cluster.ts";

const NODES = 2000;
const CONNECT_DEADLINE_MS = 240_000;
const DEADLINE_MS = 60_000;

test("2,000 nodes enrol, report their hardware, follow a change of their overlay and outlive their controller", async () => {
  await using cluster = await openCluster();
  const { controller } = cluster;
  const rootfs = await writeOverlay(cluster, "fleet", [
    { path: "etc/fleet/motd", text: "before\n" },
    { path: "etc/fleet/kept", text: "the same\n" },
  ]);
  await using fleet = await openFleet(cluster, NODES, { runtimeOverlays: ["fleet"] });

  await fleet.until("all to be connected", ({ sessions }) => sessions === NODES, CONNECT_DEADLINE_MS);
  await fleet.until("their first overlay", ({ overlays }) => isOn(overlays, NODES), DEADLINE_MS);
  const [before = ""] = Object.keys(fleet.report.overlays);

  await writeFile(join(rootfs, "etc/fleet/motd"), "after\n");
  const changed = await fleet.until(
    "the change to be applied by all",
    ({ overlays }) => isOn(overlays, NODES) && !(before in overlays),
    DEADLINE_MS,
  );
  const [after = ""] = Object.keys(changed.overlays);

  // Each reports up to 30 s after its welcome, and the last ones have just been welcomed.
  await fleet.until("all hardware", ({ hardware }) => hardware >= NODES, DEADLINE_MS);
  // Nobody was turned away, and nobody had to try twice.
  expect([changed.failures, changed.welcomes, changed.trouble]).toEqual([0, NODES, ""]);
  const states = (await listNodes(cluster)).map(({ status }) => status.state);
  expect(states).toEqual(Array<string>(NODES).fill("ready"));
  const reported = await waitFor(
    async () => {
      const { hardware, missing } = await controller.get<HardwareList>("/api/v1/hardware");
      return missing.length === 0 && hardware;
    },
    { what: "all reports to be stored", deadlineMs: DEADLINE_MS },
  );
  expect(reported.length).toBe(NODES);
  // Each is a machine of its own.
  expect(new Set(reported.map(({ digest }) => digest)).size).toBe(NODES);
  const overlays = await waitFor(
    async () => {
      const { nodes } = await controller.get<OverlayStatusView>("/api/v1/overlay-status");
      return nodes.every(({ verdict }) => verdict === "current") && nodes;
    },
    { what: "all nodes to be current", deadlineMs: DEADLINE_MS },
  );
  expect(overlays.map(({ applied }) => applied)).toEqual(Array<string>(NODES).fill(after));

  await controller.kill9();
  await fleet.until("the sessions to end", ({ sessions }) => sessions === 0, DEADLINE_MS);
  await controller.start();
  const back = await fleet.until(
    "all to be back",
    ({ sessions, welcomes }) => sessions === NODES && welcomes >= 2 * NODES,
    2 * DEADLINE_MS,
  );
  // Back, and not booted anew.
  expect(back.enrolled).toBe(NODES);
});

function isOn(overlays: Readonly<Record<string, number>>, count: number): boolean {
  const [all, ...others] = Object.values(overlays);
  return all === count && others.length === 0;
}
