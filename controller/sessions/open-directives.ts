import { randomUUID } from "node:crypto";

import { ERROR_MEANINGS, type ErrorCode, MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { Directive, DirectiveResult } from "#proto/gen/muster/v1/directive.ts";
import { parsePrintable } from "./parse-boot-report.ts";
import type { LiveSession, SessionListener } from "./serve-session.ts";

/** What a node can be asked to do. */
export type DirectiveAction = NonNullable<Directive["action"]>;

/** Asks nodes to do something, over the sessions they have. */
export interface Directives extends SessionListener {
  /**
   * Asks a node and waits for its answer: the lines of its result, fit to be printed. Rejects with
   * `node-unreachable` when the node has no session or the session ends before it answered (it may have done what was
   * asked all the same), `deadline-exceeded`, the error the node answered, or the reason of the signal.
   */
  send(
    node: NodeName,
    action: DirectiveAction,
    options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
  ): Promise<readonly string[]>;
}

interface OpenDirective {
  readonly session: LiveSession;
  readonly settle: (outcome: readonly string[] | MusterError) => void;
}

/** The agent gives up at its deadline and says so; the controller waits this much longer for that word. */
const GRACE_MS = 2000;
/** What a node may answer is bounded: a result is read by people. */
const MAX_LINES = 1000;
const MAX_LINE = 500;

/** Directives over the sessions this is told of. Ids are random: unique over restarts, and nothing to guess. */
export function openDirectives(): Directives {
  const sessions = new Map<NodeName, LiveSession>();
  const open = new Map<string, OpenDirective>();
  const endOthers = (node: NodeName, current: LiveSession | undefined): void => {
    for (const { session, settle } of [...open.values()]) {
      if (session.node === node && session !== current) settle(sessionEnded());
    }
  };
  return {
    opened: (session) => {
      sessions.set(session.node, session);
      // A session that takes the place of another: whatever was asked on that one is answered by nobody.
      endOthers(session.node, session);
    },
    closed: (session) => {
      if (sessions.get(session.node) === session) sessions.delete(session.node);
      endOthers(session.node, sessions.get(session.node));
    },
    received: async (session, message) => {
      if (message.$case !== "directiveResult") return;
      const asked = open.get(message.value.id);
      // An answer that is late, or to what was asked on another session, or of another node: nobody waits for it.
      if (asked?.session === session) asked.settle(parseResult(message.value));
    },
    send: async (node, action, { deadlineMs, signal }) => {
      signal?.throwIfAborted();
      const session = sessions.get(node);
      if (session === undefined) throw noSession(node);
      const id = randomUUID();
      return new Promise((resolve, reject) => {
        const end = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener("abort", onAbort);
          open.delete(id);
        };
        const onAbort = (): void => {
          end();
          reject(signal?.reason as Error);
        };
        const settle = (outcome: readonly string[] | MusterError): void => {
          end();
          if (outcome instanceof MusterError) reject(outcome);
          else resolve(outcome);
        };
        const timer = setTimeout(() => {
          settle(noAnswer(node, deadlineMs));
        }, deadlineMs + GRACE_MS);
        signal?.addEventListener("abort", onAbort);
        open.set(id, { session, settle });
        const deadlineSeconds = Math.max(1, Math.ceil(deadlineMs / 1000));
        session.send({ $case: "directive", value: { id, deadlineSeconds, action } });
      });
    },
  };
}

/** What a node answered, made fit for a terminal. A code this release does not know is `command-failed`. */
function parseResult(result: DirectiveResult): readonly string[] | MusterError {
  if (result.code === "")
    return result.lines.slice(0, MAX_LINES).map((line) => parsePrintable(line, MAX_LINE));
  const code = Object.hasOwn(ERROR_MEANINGS, result.code) ? (result.code as ErrorCode) : "command-failed";
  const fix = parsePrintable(result.fix, MAX_LINE);
  return new MusterError({
    code,
    what: parsePrintable(result.what, MAX_LINE),
    ...(fix === "" ? {} : { fix }),
  });
}

function noSession(node: NodeName): MusterError {
  return new MusterError({
    code: "node-unreachable",
    what: "no session",
    fix: `see what it does: muster node list ${node}; when it is up, look at its muster-agent.service`,
  });
}

function sessionEnded(): MusterError {
  return new MusterError({
    code: "node-unreachable",
    what: "its session ended before it answered",
    fix: "wait until it is ready again, and ask again",
  });
}

function noAnswer(node: NodeName, deadlineMs: number): MusterError {
  return new MusterError({
    code: "deadline-exceeded",
    what: `no answer within ${Math.round(deadlineMs / 1000)} s`,
    fix: `look at its log: muster node logs ${node}`,
  });
}
