import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";
import { openHooks } from "../hooks/open-hooks.ts";
import { hookChangeOf } from "../hooks/hook-event.ts";
import { openInventory } from "../inventory/open-inventory.ts";
import { followInventory } from "./follow-inventory.ts";
import { trackFleet } from "./track-fleet.ts";

const C1 = parseNodeName("c1");
const LOGIN = parseNodeName("login");
const NOW = new Date("2026-11-20T12:00:00Z");
const ROOT = { user: "root" };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "muster-follow-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** As main.ts puts them together. */
async function openSite() {
  const now = () => NOW;
  const stack = new AsyncDisposableStack();
  const inventory = stack.use(await openInventory({ path: join(directory, "inventory.db"), now }));
  const telemetry = { recordBoot: () => undefined, recordEvent: () => undefined, listBoots: async () => [] };
  const fleet = stack.use(await trackFleet({ telemetry, nodes: [], now, abandonAfterMs: 60_000 }));
  const hooks = stack.use(
    await openHooks({
      ...{ directory: join(directory, "hooks.d"), toldPath: join(directory, "told.json"), deadlineMs: 1000 },
      ...{ userId: 0, fleet, telemetry, now, collectMs: 1 },
      onBug: (error) => {
        throw error;
      },
    }),
  );
  fleet.onChange(hooks.nodeChanged);
  stack.defer(followInventory(inventory, fleet));
  inventory.onCommitted((change) => {
    hooks.changeCommitted(hookChangeOf(change));
  });
  await inventory.commit([{ kind: "node", name: C1, revision: 0, fields: {} }], ROOT);
  const session = { bootId: "b1", address: "10.0.0.1", agentVersion: "1", image: "i", imageVersion: 1 };
  fleet.sessionOpened(C1, session, NOW);
  fleet.sessionReady(C1, { bootId: "b1", uptimeMs: 1, stages: [] }, NOW);
  fleet.alerted(C1, { kind: "impostor", what: "two of them", at: NOW });
  return { inventory, fleet, [Symbol.asyncDispose]: async () => stack.disposeAsync() };
}

test("a node that is deleted is new to the fleet before anybody else hears of the change", async () => {
  await using site = await openSite();
  const { inventory, fleet } = site;
  expect(fleet.statusOf(C1).state).toBe("ready");
  const heard: unknown[] = [];
  inventory.onCommitted(() => heard.push(fleet.statusOf(C1)));
  await inventory.commit([{ kind: "node", name: C1, revision: 1, fields: undefined }], ROOT);
  expect(heard).toEqual([{ node: C1, state: "new" }]);
});

test("an alert follows its node to its new name, and nothing is left under the old one", async () => {
  await using site = await openSite();
  const { inventory, fleet } = site;
  await inventory.commit([{ kind: "node", name: C1, revision: 1, fields: {}, renameTo: LOGIN }], ROOT);
  expect(fleet.statusOf(C1)).toEqual({ node: C1, state: "new" });
  expect(fleet.statusOf(LOGIN)).toEqual({
    ...{ node: LOGIN, state: "new" },
    alert: { kind: "impostor", what: "two of them", at: NOW },
  });
});

test("a node whose fields change keeps its state", async () => {
  await using site = await openSite();
  const { inventory, fleet } = site;
  await inventory.commit([{ kind: "node", name: C1, revision: 1, fields: { comment: "x" } }], ROOT);
  expect(fleet.statusOf(C1).state).toBe("ready");
});
