import type { NodeName } from "#proto/contract/node-name.ts";
import type { DeniedBoot } from "../inventory/inventory.ts";

/** The denied boots as a blob worker knows them, which sees no inventory. */
export interface DeniedBoots {
  /** Adds to them; whatever is under way for one of them ends. */
  deny(boots: readonly DeniedBoot[]): void;
  readonly find: (node: NodeName, bootId: string) => DeniedBoot | undefined;
  /** Calls `end` when the boot is denied; at once if it is already. Disposing ends the watch. */
  watch(node: NodeName, bootId: string, end: (boot: DeniedBoot) => void): Disposable;
  /** Those that still matter. */
  list(): readonly DeniedBoot[];
}

export function openDeniedBoots(now: () => Date): DeniedBoots {
  const denied = new Map<string, DeniedBoot>();
  const watchers = new Map<string, Set<(boot: DeniedBoot) => void>>();
  const keyOf = (node: NodeName, bootId: string): string => `${node} ${bootId}`;
  const prune = (): void => {
    for (const [key, { until }] of denied) if (until <= now()) denied.delete(key);
  };
  return {
    deny: (boots) => {
      prune();
      for (const boot of boots) {
        const key = keyOf(boot.node, boot.bootId);
        denied.set(key, boot);
        for (const end of watchers.get(key) ?? []) end(boot);
      }
    },
    find: (node, bootId) => denied.get(keyOf(node, bootId)),
    watch: (node, bootId, end) => {
      const key = keyOf(node, bootId);
      const watching = watchers.get(key) ?? new Set();
      watchers.set(key, watching.add(end));
      const already = denied.get(key);
      if (already !== undefined) end(already);
      return {
        [Symbol.dispose]: () => {
          watching.delete(end);
          if (watching.size === 0 && watchers.get(key) === watching) watchers.delete(key);
        },
      };
    },
    list: () => {
      prune();
      return [...denied.values()];
    },
  };
}
