import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

import { expect, test } from "vitest";

import { readNodeRecord, storeNodeRecord } from "./node-record.ts";
import { makeTestHost } from "./testing/test-host.ts";

test("the record is for everybody to read, the stages are for the agent, and both come back as they were", async () => {
  await using host = await makeTestHost();
  const { paths } = host;
  const node = {
    ...{ name: "c001", image: "debian12", imageVersion: 1, bootId: "b", bootMac: "52:54:00:12:34:56" },
    ...{ enrolmentAddresses: ["10.0.0.1:9881"], agentAddresses: [], blobAddresses: [] },
  };
  const stages = [{ stage: "kernel", startedMs: 0, endedMs: 900, detail: "6.1.0" }];
  await mkdir(dirname(paths.node), { recursive: true });
  await storeNodeRecord(paths, node, stages);
  const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
  expect([await modeOf(paths.node), await modeOf(paths.stages)]).toEqual([0o644, 0o600]);
  expect(await readNodeRecord(paths)).toEqual({ node, stages });
});
