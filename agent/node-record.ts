import { readFile } from "node:fs/promises";

import type { StageTiming } from "#proto/gen/muster/v1/machine.ts";
import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";

import type { HostPaths } from "./host-paths.ts";

/** What the boot tells the booted system, as /run/muster/node.json. Readable by everyone: it holds no secret. */
export interface NodeRecord {
  readonly name: string;
  readonly image: string;
  readonly imageVersion: number;
  readonly bootId: string;
  readonly bootMac: string;
  /** host:port each, in the order to try. */
  readonly enrolmentAddresses: readonly string[];
  readonly agentAddresses: readonly string[];
  readonly blobAddresses: readonly string[];
}

/** Leaves the record of this boot, and its stages beside it. */
export async function storeNodeRecord(
  paths: HostPaths,
  record: NodeRecord,
  stages: readonly StageTiming[],
): Promise<void> {
  await storeStages(paths, stages);
  await writeFileAtomically(paths.node, `${JSON.stringify(record, undefined, 2)}\n`);
}

/** For the agent alone, whether it is the initramfs that writes or, under the unit's UMask, the service. */
export async function storeStages(paths: HostPaths, stages: readonly StageTiming[]): Promise<void> {
  await writeFileAtomically(paths.stages, `${JSON.stringify(stages, undefined, 2)}\n`, 0o600);
}

/** The record the agent left in the initramfs. Throws when there is none: the node was not booted by muster. */
export async function readNodeRecord(
  paths: HostPaths,
): Promise<{ readonly node: NodeRecord; readonly stages: readonly StageTiming[] }> {
  // One after the other: what is said to be missing is then always the same.
  const node = await readFile(paths.node, "utf8");
  const stages = await readFile(paths.stages, "utf8");
  return { node: JSON.parse(node) as NodeRecord, stages: JSON.parse(stages) as StageTiming[] };
}
