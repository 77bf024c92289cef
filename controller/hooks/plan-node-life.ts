import type { NodeStatus } from "../sessions/fleet.ts";

/** What hooks were told of a node. */
export interface NodeLife {
  /** The boot that it was said to be up in; undefined: hooks think that it is down. */
  readonly upIn: string | undefined;
  /** Since when it looks as if it were not up any more. */
  readonly waningSinceMs: number | undefined;
}

export const NEVER_SEEN: NodeLife = { upIn: undefined, waningSinceMs: undefined };

/** An agent that is replaced, or a cable that is moved, is back within this time: as for the event node-unreachable. */
export const DOWN_AFTER_MS = 30_000;

/**
 * What hooks are to be told of a node.
 *
 * | told      | its status                              | told then      |
 * |-----------|-----------------------------------------|----------------|
 * | down      | ready                                   | node-up        |
 * | up        | ready, in the same boot                 | nothing        |
 * | up        | ready, in another boot                  | node-down, node-up |
 * | up        | booting: it said that it restarts       | node-down      |
 * | up        | booting, and has enrolled in another boot | node-down    |
 * | up        | deleted                                 | node-down      |
 * | up        | anything else, for 30 s                 | node-down      |
 * | down      | anything else                           | nothing        |
 *
 * A boot script that was served is no proof that the node restarts: anyone can ask for one.
 */
export function planNodeLife(
  life: NodeLife,
  status: Pick<NodeStatus, "state" | "stage" | "bootId">,
  nowMs: number,
): { readonly life: NodeLife; readonly news: readonly ("node-down" | "node-up")[] } {
  const { upIn, waningSinceMs } = life;
  if (status.state === "ready") {
    const now: NodeLife = { upIn: status.bootId ?? "", waningSinceMs: undefined };
    if (upIn === undefined) return { life: now, news: ["node-up"] };
    return { life: now, news: upIn === now.upIn ? [] : ["node-down", "node-up"] };
  }
  if (upIn === undefined) return { life: NEVER_SEEN, news: [] };
  const sinceMs = waningSinceMs ?? nowMs;
  if (isGoneForSure(status, upIn) || nowMs - sinceMs >= DOWN_AFTER_MS) {
    return { life: NEVER_SEEN, news: ["node-down"] };
  }
  return { life: { upIn, waningSinceMs: sinceMs }, news: [] };
}

function isGoneForSure(
  { state, stage, bootId }: Pick<NodeStatus, "state" | "stage" | "bootId">,
  upIn: string,
): boolean {
  if (state === "new") return true;
  return state === "booting" && (stage === "restarting" || (bootId !== undefined && bootId !== upIn));
}
