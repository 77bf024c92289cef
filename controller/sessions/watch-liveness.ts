import type { NodeName } from "#proto/contract/node-name.ts";

/** Whether nodes are up: asked of the nodes themselves, because an open connection may be that of a machine without power. */
export interface Liveness {
  /** The node opened a session; `greet` makes it say something. */
  opened(node: NodeName, bootId: string, greet: () => void): void;
  /** The node said something. */
  heard(node: NodeName): void;
  /** Its session ended; `isGoodbye`: because the node said so. */
  closed(node: NodeName, isGoodbye: boolean): void;
  /** It cannot open another session in this boot: there is nothing to wait for. */
  barred(node: NodeName): void;
  /**
   * Whether the node lives on in the boot of its session.
   *
   * | its session                                             | up  | known                                      |
   * |---------------------------------------------------------|-----|--------------------------------------------|
   * | there is none, nor was one a moment ago                 | no  | at once                                    |
   * | said something within the last second                   | yes | at once                                    |
   * | answers                                                 | yes | when it does                               |
   * | broke, and the node opens one again in the same boot    | yes | when it does                               |
   * | silent or broken, the node's next heartbeat is overdue  | no  | then, or after 8 s for an answer           |
   * | the node said goodbye, does not come back               | no  | 5 s later: a restarted agent takes seconds |
   * | the node opens one in another boot                      | no  | when it does                               |
   *
   * The end of a connection proves nothing: whoever sends with a node's MAC address gets its frames, and resets
   * its connections without the node knowing. But the node is to speak at its next heartbeat, finds its connection
   * broken then, and opens another, which only it can. A machine that lost its power is not waited for unless it is
   * back within the interval of heartbeats.
   */
  isUp(node: NodeName): Promise<boolean>;
}

interface Watched {
  bootId: string;
  /** Undefined: the session has ended. */
  greet: (() => void) | undefined;
  heardMs: number;
  /** When a node that said goodbye would be back if it were only its agent that restarts. */
  backMs: number | undefined;
  isSilent: boolean;
  asked: Promise<boolean> | undefined;
  answered: ((isUp: boolean) => void) | undefined;
}

/** A node under full load may take seconds to answer. */
const ANSWER_MS = 8000;
const GOODBYE_MS = 5000;
/** Half a second to a second until an agent opens a session that broke, and a lost packet or two. */
const RETURN_MS = 5000;
/** No machine restarts and asks to enrol within this time, so nobody needs to be asked twice. */
const FRESH_MS = 1000;

/** Nodes speak every `heartbeatMs` at least. `nowMs` is any steady clock. */
export function watchLiveness(heartbeatMs: number, nowMs: () => number): Liveness {
  const nodes = new Map<NodeName, Watched>();
  /** Silent until then, the node is not up. */
  const deadlineOf = ({ heardMs, backMs }: Watched): number => backMs ?? heardMs + heartbeatMs + RETURN_MS;
  const ask = async (watched: Watched): Promise<boolean> => {
    const answer = Promise.withResolvers<boolean>();
    watched.answered = answer.resolve;
    const answerMs = watched.greet === undefined ? 0 : nowMs() + ANSWER_MS;
    watched.greet?.();
    let timer: NodeJS.Timeout | undefined;
    const look = (): void => {
      // What happened meanwhile may have moved it: a goodbye, a session that broke.
      const leftMs = Math.max(deadlineOf(watched), watched.greet === undefined ? 0 : answerMs) - nowMs();
      if (leftMs > 0) timer = setTimeout(look, Math.min(leftMs, FRESH_MS)).unref();
      else {
        watched.isSilent = true;
        answer.resolve(false);
      }
    };
    look();
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      watched.asked = undefined;
      watched.answered = undefined;
    }
  };
  return {
    opened: (node, bootId, greet) => {
      const before = nodes.get(node);
      before?.answered?.(before.bootId === bootId);
      const asked = { asked: undefined, answered: undefined };
      nodes.set(node, { bootId, greet, heardMs: nowMs(), backMs: undefined, isSilent: false, ...asked });
    },
    heard: (node) => {
      const watched = nodes.get(node);
      if (watched === undefined) return;
      watched.heardMs = nowMs();
      watched.isSilent = false;
      watched.answered?.(true);
    },
    closed: (node, isGoodbye) => {
      const watched = nodes.get(node);
      if (watched === undefined) return;
      watched.greet = undefined;
      if (isGoodbye) watched.backMs = nowMs() + GOODBYE_MS;
    },
    barred: (node) => {
      nodes.get(node)?.answered?.(false);
      nodes.delete(node);
    },
    isUp: async (node) => {
      const watched = nodes.get(node);
      if (watched === undefined || watched.isSilent) return false;
      if (watched.greet === undefined && nowMs() >= deadlineOf(watched)) {
        nodes.delete(node);
        return false;
      }
      if (watched.greet !== undefined && nowMs() - watched.heardMs < FRESH_MS) return true;
      watched.asked ??= ask(watched);
      return watched.asked;
    },
  };
}
