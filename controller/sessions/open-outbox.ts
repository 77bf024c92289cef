import type { ConnectResponse } from "#proto/gen/muster/v1/session.ts";

type ControllerMessage = NonNullable<ConnectResponse["message"]>;

/** What is sent on one stream. */
export interface Outbox {
  readonly send: (message: ControllerMessage) => void;
  /** Resolves when the connection has taken all that was sent, or nothing is sent any more. */
  readonly drained: () => Promise<void>;
  /** Nothing is sent from now on. */
  readonly close: () => void;
}

/** `write` calls back when the connection has taken the message; a node that does not read keeps it waiting. */
export function openOutbox(write: (response: ConnectResponse, taken: () => void) => void): Outbox {
  let underWay = 0;
  let isClosed = false;
  let waiting: (() => void)[] = [];
  const wake = (): void => {
    const woken = waiting;
    waiting = [];
    for (const resolve of woken) resolve();
  };
  return {
    send: (message) => {
      if (isClosed) return;
      underWay += 1;
      write({ message }, () => {
        underWay -= 1;
        if (underWay === 0) wake();
      });
    },
    drained: async () => {
      if (isClosed || underWay === 0) return;
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
    },
    close: () => {
      isClosed = true;
      wake();
    },
  };
}
