import { expect, test } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";
import { openPushRounds } from "./push-in-rounds.ts";

const C001 = parseNodeName("c001");

test("a node that says nothing of what it was sent is given up; a bug in what comes next harms nobody else", async () => {
  const failed = Promise.withResolvers<unknown>();
  const told: string[] = [];
  const bug = new Error("no manifest");
  using rounds = openPushRounds({
    nodes: () => [],
    push: (node) => {
      told.push(`push ${node}`);
      throw bug;
    },
    onBug: failed.resolve,
    timings: { answerMs: 1 },
  });
  rounds.expect(C001, () => told.push("given up"));
  expect(await failed.promise).toBe(bug);
  expect(told).toEqual(["given up", "push c001"]);
});
