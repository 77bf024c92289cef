import type { NodeName } from "#proto/contract/node-name.ts";

/** Whether nodes are up: asked of the nodes themselves, because an open connection may be that of a machine without power. */
export interface Liveness {
  /** The node opened a session; `greet` makes it say something. */
  opened(node: NodeName, bootId: string, greet: () => void): void;
  /** The node said something. */
  heard(node: NodeName): void;
  closed(node: NodeName): void;
  /** It cannot open another session in this boot: there is nothing to wait for. */
  barred(node: NodeName): void;
  /**
   * Whether the node lives on in the boot of its session.
   *
   * | its session                                    | up  | known                                          |
   * |------------------------------------------------|-----|------------------------------------------------|
   * | none, nor one that ended a moment ago          | no  | at once                                        |
   * | said something within the last second          | yes | at once                                        |
   * | answers                                        | yes | when it does                                   |
   * | says nothing in 8 s                            | no  | then; until it speaks, at once                 |
   * | ended, comes back in the same boot within 4 s  | yes | when it does                                   |
   * | ended, does not come back                      | no  | 4 s after its end                              |
   * | ended, comes back in another boot              | no  | when it does                                   |
   *
   * The end of a connection proves nothing: whoever takes a node's MAC address gets its frames, and resets the
   * node's connections. But only the node can open a session again. A node that restarts takes longer than 4 s to
   * ask for its identity, so that it does not wait.
   */
  isUp(node: NodeName): Promise<boolean>;
}

interface Watched {
  bootId: string;
  /** Undefined: the session has ended. */
  greet: (() => void) | undefined;
  heardMs: number;
  endedMs: number;
  isSilent: boolean;
  asked: Promise<boolean> | undefined;
  answered: ((isUp: boolean) => void) | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** A node under full load may take seconds to answer. */
const ANSWER_MS = 8000;
/** Agents open a session again half a second to a second after it broke, and a lost packet costs another second. */
const RETURN_MS = 4000;
/** No machine restarts and asks to enrol within this time, so nobody needs to be asked twice. */
const FRESH_MS = 1000;

/** `nowMs` is any steady clock. */
export function watchLiveness(nowMs: () => number): Liveness {
  const nodes = new Map<NodeName, Watched>();
  const settleAfter = (watched: Watched, delayMs: number): void => {
    clearTimeout(watched.timer);
    watched.timer = setTimeout(() => {
      watched.isSilent = watched.greet !== undefined;
      watched.answered?.(false);
    }, delayMs).unref();
  };
  const ask = async (watched: Watched): Promise<boolean> => {
    try {
      return await new Promise<boolean>((resolve) => {
        watched.answered = resolve;
        settleAfter(watched, watched.greet === undefined ? watched.endedMs + RETURN_MS - nowMs() : ANSWER_MS);
        watched.greet?.();
      });
    } finally {
      clearTimeout(watched.timer);
      watched.asked = undefined;
      watched.answered = undefined;
    }
  };
  return {
    opened: (node, bootId, greet) => {
      const before = nodes.get(node);
      before?.answered?.(before.bootId === bootId);
      const asked = { asked: undefined, answered: undefined, timer: undefined };
      nodes.set(node, { bootId, greet, heardMs: nowMs(), endedMs: 0, isSilent: false, ...asked });
    },
    heard: (node) => {
      const watched = nodes.get(node);
      if (watched === undefined) return;
      watched.heardMs = nowMs();
      watched.isSilent = false;
      watched.answered?.(true);
    },
    closed: (node) => {
      const watched = nodes.get(node);
      if (watched === undefined) return;
      watched.greet = undefined;
      watched.endedMs = nowMs();
      if (watched.answered !== undefined) settleAfter(watched, RETURN_MS);
    },
    barred: (node) => {
      nodes.get(node)?.answered?.(false);
      nodes.delete(node);
    },
    isUp: async (node) => {
      const watched = nodes.get(node);
      if (watched === undefined) return false;
      if (watched.greet === undefined && nowMs() - watched.endedMs >= RETURN_MS) {
        nodes.delete(node);
        return false;
      }
      if (watched.greet !== undefined && watched.isSilent) return false;
      if (watched.greet !== undefined && nowMs() - watched.heardMs < FRESH_MS) return true;
      watched.asked ??= ask(watched);
      return watched.asked;
    },
  };
}
