import type { NodeName } from "#proto/contract/node-name.ts";
import type { Telemetry } from "../events/telemetry.ts";
import { type BootTimeline, timelineOf } from "./boot-timeline.ts";

/** The last boot of each node: most are among the newest, the rest are asked for one by one. */
export async function readLastBoots(
  telemetry: Pick<Telemetry, "listBoots">,
  nodes: readonly NodeName[],
  at: Date,
): Promise<readonly BootTimeline[]> {
  const wanted = new Set<string>(nodes);
  const found: BootTimeline[] = [];
  const take = (records: Awaited<ReturnType<Telemetry["listBoots"]>>): void => {
    for (const record of records) {
      // What only its MAC told of may have been another machine's; the node's own boots count.
      if (record.node === undefined || record.bootId.startsWith("mac/") || !wanted.delete(record.node))
        continue;
      found.push(timelineOf(record, at.getTime()));
    }
  };
  if (wanted.size > 0) take(await telemetry.listBoots({ limit: 3 * wanted.size }));
  for (const node of [...wanted]) take(await telemetry.listBoots({ node, limit: 10 }));
  return found;
}
