import type { ConnectRequest, ConnectResponse, Welcome } from "#proto/gen/muster/v1/session.ts";

/** What the agent says on a session. */
export type AgentMessage = NonNullable<ConnectRequest["message"]>;
/** What the controller says on a session. */
type ControllerMessage = NonNullable<ConnectResponse["message"]>;
type ValueOf<C extends ControllerMessage["$case"]> = Extract<ControllerMessage, { $case: C }>["value"];

/**
 * The way to whichever controller the node has a session with. It outlives sessions: what the agent does for
 * as long as the node is up (overlay, hardware, directives) subscribes once, and goes on by itself while no
 * controller answers.
 */
export interface ControllerLink {
  /** False, and nothing sent, when no session is open. True is no promise that it arrives. */
  send(message: AgentMessage): boolean;
  /** Called once for each session, when the controller has said welcome; `ended` aborts when the session ends. */
  onWelcome(listener: (welcome: Welcome, ended: AbortSignal) => void): void;
  /** Called with each message of a kind. Listeners return at once; what takes longer they do on their own. */
  onMessage<C extends ControllerMessage["$case"]>(kind: C, listener: (value: ValueOf<C>) => void): void;
}

/** The end of the link that holds the sessions. */
export interface SessionEnd {
  /** A session is open. Disposing closes it. */
  open(write: (message: AgentMessage) => void, welcome: Welcome): Disposable;
  receive(message: ControllerMessage): void;
}

/** Makes a link; `log` gets what a listener throws, which ends neither the session nor the agent. */
export function openControllerLink(log: (line: string) => void): {
  readonly link: ControllerLink;
  readonly sessions: SessionEnd;
} {
  const welcomed: ((welcome: Welcome, ended: AbortSignal) => void)[] = [];
  const listeners = new Map<ControllerMessage["$case"], ((value: never) => void)[]>();
  let current: ((message: AgentMessage) => void) | undefined;
  const guarded = (kind: string, call: () => void): void => {
    try {
      call();
    } catch (error) {
      log(`bug: ${kind}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  };
  return {
    link: {
      send: (message) => {
        current?.(message);
        return current !== undefined;
      },
      onWelcome: (listener) => {
        welcomed.push(listener);
      },
      onMessage: (kind, listener) => {
        listeners.set(kind, [...(listeners.get(kind) ?? []), listener]);
      },
    },
    sessions: {
      open: (write, welcome) => {
        const ended = new AbortController();
        current = write;
        for (const listener of welcomed) {
          guarded("welcome", () => {
            listener(welcome, ended.signal);
          });
        }
        return {
          [Symbol.dispose]: () => {
            if (current === write) current = undefined;
            ended.abort();
          },
        };
      },
      receive: (message) => {
        for (const listener of listeners.get(message.$case) ?? []) {
          guarded(message.$case, () => {
            listener(message.value as never);
          });
        }
      },
    },
  };
}
