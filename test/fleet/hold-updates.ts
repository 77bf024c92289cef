import type { ControllerLink } from "../../agent/session/controller-link.ts";

/** Nothing more came for this long: all nodes of the process have what the controller sends them. */
const QUIET_MS = 50;

/** Updates of overlays that the nodes of one process were sent unasked. */
export interface UpdateQueue {
  put(deliver: () => void): void;
}

/**
 * Keeps updates until all are there, then hands them over: a real node does not receive later because two thousand
 * others apply on its CPU. `onReceived` is called for each when it comes. One node alone waits for nobody.
 */
export function openUpdateQueue(nodes: number, onReceived: () => void): UpdateQueue {
  let held: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  const release = (): void => {
    const released = held;
    held = [];
    timer = undefined;
    for (const deliver of released) deliver();
  };
  return {
    put: (deliver) => {
      onReceived();
      if (nodes === 1) {
        deliver();
        return;
      }
      held.push(deliver);
      if (timer === undefined) timer = setTimeout(release, QUIET_MS);
      else timer.refresh();
    },
  };
}

/** The link, with updates that come unasked going through the queue. */
export function queueUpdates(whole: ControllerLink, queue: UpdateQueue): ControllerLink {
  let isAsked = false;
  return {
    ...whole,
    send: (message) => {
      const isSent = whole.send(message);
      if (isSent && message.$case === "checkOverlay") isAsked = true;
      return isSent;
    },
    onMessage: (kind, listener) => {
      whole.onMessage(kind, (value) => {
        if (kind !== "overlayUpdate" || isAsked) {
          if (kind === "overlayUpdate") isAsked = false;
          listener(value);
          return;
        }
        queue.put(() => {
          listener(value);
        });
      });
    },
  };
}
