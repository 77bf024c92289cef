import type { HookBatch, HookChange, HookEvent, HookNews, HookNode } from "./hook-event.ts";

interface Batch extends HookBatch {
  /** By name: what happens twice to a node in one batch counts as it was last. */
  readonly byName: Map<string, HookNode>;
  readonly changes: HookChange[];
}

/**
 * The runs of a hook that tell what happened, in the order in which they go one after the other. What is of one kind is
 * told by one run with a list of nodes - a rack that loses its power is one run, not eighty - unless that would put two
 * things that happened to one node into the wrong order:
 *
 * | happened                                    | runs                                          |
 * |---------------------------------------------|-----------------------------------------------|
 * | down c1, down c2, down c3                   | down c1 c2 c3                                 |
 * | down c1, up c2, down c3                     | down c1 c3; up c2                             |
 * | down c1, up c1, down c2                     | down c1 c2; up c1                             |
 * | down c1, up c1, down c1                     | down c1; up c1; down c1                       |
 */
export function planHookRuns(news: readonly HookNews[]): readonly HookBatch[] {
  const batches: Batch[] = [];
  const lastOfEvent = new Map<HookEvent, number>();
  const lastOfNode = new Map<string, number>();
  const batchFor = (event: HookEvent, notBefore: number): [Batch, number] => {
    const at = lastOfEvent.get(event) ?? -1;
    const found = batches[at];
    if (found !== undefined && at >= notBefore) return [found, at];
    const fresh: Batch = { event, nodes: [], byName: new Map(), changes: [] };
    lastOfEvent.set(event, batches.length);
    return [fresh, batches.push(fresh) - 1];
  };
  for (const one of news) {
    if (one.event === "change-committed") {
      batchFor(one.event, 0)[0].changes.push(one.change);
      continue;
    }
    const { name } = one.node;
    const [batch, at] = batchFor(one.event, lastOfNode.get(name) ?? 0);
    batch.byName.set(name, one.node);
    lastOfNode.set(name, at);
  }
  return batches.map(({ event, byName, changes }) => ({ event, nodes: [...byName.values()], changes }));
}
