import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import type { Directive, DirectiveResult, Reboot, RunCheck } from "#proto/gen/muster/v1/directive.ts";

import type { RebootAnswer } from "../reboot/reboot-machine.ts";
import type { ControllerLink } from "./controller-link.ts";

/** Carries out one kind of directive: lines of its result, or a MusterError. Ends when the signal aborts. */
type DirectiveHandler<A> = (action: A, signal: AbortSignal) => Promise<readonly string[]>;

/** Who does what. */
export interface DirectiveHandlers {
  readonly refreshOverlay: DirectiveHandler<unknown>;
  readonly reportHardware: DirectiveHandler<unknown>;
  readonly runCheck: DirectiveHandler<RunCheck>;
  /** Answers first, then acts. While it does, nothing else is begun but a restart by force. */
  readonly reboot: (action: Reboot) => Promise<RebootAnswer>;
}

/** What is under way. */
export interface Obedience {
  readonly running: () => number;
}

/** As many results are remembered: a controller asks again within seconds or never. */
const REMEMBERED = 64;
/** Nobody has this much to ask of one node at a time. */
const MAX_RUNNING = 16;
/** As the controller has it. */
const MAX_LINES = 1000;
const MAX_LINE = 500;

/**
 * Carries out what the controller asks, several things at once, each at most once per id and with its deadline: an id
 * that was answered is answered the same again, one that is under way is answered when it is done, on whichever
 * session there is then.
 */
export function obeyDirectives(
  link: Pick<ControllerLink, "send" | "onMessage">,
  handlers: DirectiveHandlers,
  log: (line: string) => void,
): Obedience {
  const results = new Map<string, DirectiveResult>();
  const running = new Set<string>();
  const afterAnswer = new Map<string, () => void>();
  /** The restart under way; aborting it gives the way to the next. */
  let restart: AbortController | undefined;

  const reboot = async (id: string, asked: Reboot, signal: AbortSignal): Promise<readonly string[]> => {
    restart?.abort();
    const mine = new AbortController();
    restart = mine;
    const failed = (error: unknown): void => {
      if (mine.signal.aborted) return;
      log(errorSentence(error));
      restart = undefined;
    };
    try {
      const { lines, act } = await handlers.reboot(asked);
      // Nobody would wait for the answer any more, and so nobody expects the restart.
      signal.throwIfAborted();
      // Nobody waits for it after the answer: what goes wrong then goes to the journal.
      afterAnswer.set(id, () => void act(mine.signal).catch(failed));
      return lines;
    } catch (error) {
      failed(error);
      throw error;
    }
  };
  const act = async ({ id, action }: Directive, signal: AbortSignal): Promise<readonly string[]> => {
    const isForced = action?.$case === "reboot" && action.value.force;
    if (restart !== undefined && !isForced) throw restarting();
    switch (action?.$case) {
      case "refreshOverlay":
        return handlers.refreshOverlay(action.value, signal);
      case "reportHardware":
        return handlers.reportHardware(action.value, signal);
      case "runCheck":
        return handlers.runCheck(action.value, signal);
      case "reboot":
        return reboot(id, action.value, signal);
      case undefined:
        throw unknownAction();
    }
  };
  const obey = async (directive: Directive): Promise<DirectiveResult> => {
    const { id, deadlineSeconds } = directive;
    using deadline = openDeadline(deadlineSeconds);
    try {
      if (running.size > MAX_RUNNING) throw tooMany();
      const lines = await Promise.race([act(directive, deadline.signal), deadline.passed]);
      return {
        id,
        code: "",
        what: "",
        fix: "",
        lines: lines.slice(0, MAX_LINES).map((line) => line.slice(0, MAX_LINE)),
      };
    } catch (error) {
      if (!(error instanceof MusterError))
        log(`directive ${directive.action?.$case ?? "?"}: ${stackOf(error)}`);
      const { code, fix } = error instanceof MusterError ? error : { code: "internal", fix: undefined };
      return { id, code, what: errorSentence(error), fix: fix ?? "", lines: [] };
    }
  };
  link.onMessage("directive", (directive) => {
    const { id } = directive;
    const known = results.get(id);
    if (known !== undefined) link.send({ $case: "directiveResult", value: known });
    if (known !== undefined || running.has(id)) return;
    running.add(id);
    void obey(directive).then((result) => {
      running.delete(id);
      results.set(id, result);
      if (results.size > REMEMBERED) forgetOldest(results);
      link.send({ $case: "directiveResult", value: result });
      afterAnswer.get(id)?.();
      afterAnswer.delete(id);
    });
  });
  return { running: () => running.size };
}

/** Aborts, and rejects `passed`, when the time is over. */
function openDeadline(
  seconds: number,
): Disposable & { readonly signal: AbortSignal; readonly passed: Promise<never> } {
  const abort = new AbortController();
  const { promise: passed, reject } = Promise.withResolvers<never>();
  passed.catch(() => undefined);
  const timer = setTimeout(() => {
    const error = new MusterError({ code: "deadline-exceeded", what: `not done within ${seconds} s` });
    // First what was asked: it may have more to say than that it is late.
    abort.abort(error);
    setImmediate(reject, error);
  }, seconds * 1000);
  return {
    signal: abort.signal,
    passed,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
    },
  };
}

function forgetOldest(results: Map<string, DirectiveResult>): void {
  for (const id of results.keys()) {
    results.delete(id);
    return;
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function restarting(): MusterError {
  return new MusterError({
    code: "node-restarting",
    what: "the node is restarting",
    fix: "wait until it is ready again, and ask again",
  });
}

function unknownAction(): MusterError {
  return new MusterError({
    code: "protocol-unsupported",
    what: "the agent is too old for what it is asked to do",
    fix: "restart the node to give it the agent of this controller",
  });
}

function tooMany(): MusterError {
  return new MusterError({
    code: "too-many-requests",
    what: `the agent has ${MAX_RUNNING} directives under way`,
    fix: "ask again later",
  });
}
