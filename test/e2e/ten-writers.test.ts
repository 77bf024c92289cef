import { setTimeout as delay } from "node:timers/promises";

import { expect, test } from "vitest";

import { openApiClient } from "../../controller/cli/api-client.ts";
import type { InventoryView, ChangeList } from "../../controller/api/rest/inventory-schemas.ts";
import { type ControllerProcess, startController } from "../lab/controller-process.ts";
import { openLab } from "../lab/open-lab.ts";
import { DIST } from "./cluster.ts";

const WRITERS = 10;
const WRITING_MS = 60_000;
/** musterd is killed at these times, in the middle of whatever it does. */
const KILLS_MS = [15_000, 35_000];

interface Tally {
  /** What musterd said is done. */
  done: number;
  /** What was refused because somebody else was faster. */
  late: number;
  /** What was asked when musterd was killed: done or not, but not half. */
  unknown: number;
}

/** Ten people who count in the same tag of the same node, and musterd is killed twice meanwhile. */
test("ten writers for a minute lose and mix nothing, though musterd is killed", async () => {
  await using lab = await openLab({ name: "writers" });
  const controller = await startController(lab, { dist: DIST });
  await controller.mustMuster(["node", "add", "c001", "--tag", "total=0"]);
  const until = performance.now() + WRITING_MS;
  const writing = Promise.all(
    Array.from({ length: WRITERS }, async (_, index) => countUntil(controller, `w${index}`, until)),
  );
  for (const at of KILLS_MS) {
    await delay(Math.max(0, until - WRITING_MS + at - performance.now()));
    await controller.kill9();
    await controller.start();
  }
  const tallies = await writing;
  const tags = (await readTags(controller)).tags;
  tallies.forEach(({ done, unknown }, index) => {
    const own = Number(tags[`w${index}`] ?? 0);
    expect(own, `of writer ${index}, who was told of ${done}`).toBeGreaterThanOrEqual(done);
    expect(own).toBeLessThanOrEqual(done + unknown);
  });
  const total = Number(tags["total"]);
  expect(total).toBe(tallies.reduce((sum, _, index) => sum + Number(tags[`w${index}`] ?? 0), 0));
  // Each of them is in the history, and the addition of the node.
  expect(await countChanges(controller)).toBe(total + 1);
  expect(total).toBeGreaterThan(WRITERS);
  expect(tallies.reduce((sum, { late }) => sum + late, 0)).toBeGreaterThan(0);
});

async function countUntil(controller: ControllerProcess, own: string, until: number): Promise<Tally> {
  const tally: Tally = { done: 0, late: 0, unknown: 0 };
  await using api = openApiClient(async () => ({ by: "socket", path: controller.socketPath, user: own }));
  while (performance.now() < until) {
    let isAsked = false;
    try {
      const { nodes } = await api.get<InventoryView>("/inventory", { nodes: "c001" });
      const [node] = nodes as readonly { readonly revision: number; readonly fields: Tagged }[];
      if (node === undefined) throw new Error("c001 is there");
      const tags = plusOne(plusOne(node.fields.tags, own), "total");
      const change = {
        kind: "node",
        name: "c001",
        revision: node.revision,
        fields: { ...node.fields, tags },
      };
      isAsked = true;
      await api.send("POST", "/changes", { changes: [change], reason: `${own} counts` });
      tally.done += 1;
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "revision-stale") tally.late += 1;
      else if (code !== "controller-unreachable") throw error;
      else {
        if (isAsked) tally.unknown += 1;
        await delay(50);
      }
    }
  }
  return tally;
}

interface Tagged {
  readonly tags: Readonly<Record<string, string>>;
}

function plusOne(tags: Tagged["tags"], key: string): Tagged["tags"] {
  return { ...tags, [key]: String(Number(tags[key] ?? 0) + 1) };
}

async function readTags(controller: ControllerProcess): Promise<Tagged> {
  const { nodes } = await controller.get<InventoryView>("/api/v1/inventory?nodes=c001");
  return nodes[0]?.fields as Tagged;
}

async function countChanges(controller: ControllerProcess): Promise<number> {
  let count = 0;
  for (let before = ""; ; ) {
    const { changes } = await controller.get<ChangeList>(`/api/v1/changes?node=c001&limit=1000${before}`);
    const last = changes.at(-1);
    if (last === undefined) return count;
    count += changes.length;
    before = `&before=${last.id}`;
  }
}
