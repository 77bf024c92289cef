import { errorSentence } from "#proto/contract/muster-error.ts";
import type { AgentRelease } from "#proto/gen/muster/v1/session.ts";

import type { ControllerLink } from "../session/controller-link.ts";
import {
  endTrial,
  installAgent,
  isOnTrial,
  readUpdateRecord,
  removeLeftovers,
  type UpgradeHost,
} from "./install-agent.ts";
import { planAgentUpdate } from "./plan-agent-update.ts";
import { watchProgram } from "./watch-program.ts";

/** What keeping the agent current takes. */
export interface CurrentAgentHost extends UpgradeHost {
  readonly ownBuild: string;
  /** A directive or an update of the overlay is under way. */
  readonly isBusy: () => boolean;
  /** Ends the agent in order: systemd starts what is in its place now. */
  readonly end: () => void;
}

const BUSY_AGAIN_MS = 10_000;
/** Longer than any reaction or directive may take: whatever is under way after that hangs. */
const MOST_BUSY_MS = 70 * 60_000;
/** A new agent that has no session after this long counts as a start that failed: see muster-agent.service. */
const TRIAL_MS = 15 * 60_000;

/**
 * Ends the agent, when it has nothing under way, after another was put in its place: by a package manager, or by
 * itself because the controller gives its nodes another one. An agent run from its sources is left as it is.
 */
export function keepAgentCurrent(
  host: CurrentAgentHost,
  link: Pick<ControllerLink, "onWelcome">,
  signal: AbortSignal,
): void {
  if (host.ownBuild === "") return;
  const report = (what: string) => (error: unknown) => {
    if (!signal.aborted) host.log(`${what}: ${errorSentence(error)}`);
  };
  let isReplaced = false;
  const onReplaced = (): void => {
    if (isReplaced) return;
    isReplaced = true;
    host.log("another agent was put in place of this one; ending for it");
    endWhenIdle(host, signal).catch(report("cannot end for the new agent"));
  };
  const watcher = watchProgram(host.program, host.paths.ownExecutable, { onReplaced, log: host.log });
  signal.addEventListener("abort", () => {
    watcher[Symbol.dispose]();
  });
  watchTrial(host, link, signal).catch(report("the trial of this agent"));
  const cleaned = removeLeftovers(host).catch(report("what an update left"));

  let wanted: { readonly digest: string; readonly stop: AbortController } | undefined;
  const update = async (release: AgentRelease, stop: AbortSignal): Promise<void> => {
    await cleaned;
    const plan = planAgentUpdate(host.ownBuild, release, await readUpdateRecord(host), host.random());
    if (plan.kind === "left") host.log(plan.why);
    if (plan.kind !== "fetch") return;
    host.log(`fetching agent ${release.version} in ${Math.round(plan.delayMs / 1000)} s`);
    await host.sleep(plan.delayMs, stop);
    await installAgent(host, release, stop);
    host.log(`agent ${release.version} installed`);
    // Also where nothing can be watched.
    onReplaced();
  };
  link.onWelcome(({ agent }) => {
    if (agent?.digest === wanted?.digest) return;
    // The controller changed its mind: another one, or none because this one is right.
    wanted?.stop.abort();
    wanted = undefined;
    if (agent === undefined) return;
    const mine = { digest: agent.digest, stop: new AbortController() };
    wanted = mine;
    update(agent, AbortSignal.any([signal, mine.stop.signal])).catch((error: unknown) => {
      if (signal.aborted || mine.stop.signal.aborted) return;
      host.log(`agent ${agent.version} not installed: ${errorSentence(error)}`);
      // The next welcome may try again, as often as the plan allows.
      if (wanted === mine) wanted = undefined;
    });
  });
}

async function endWhenIdle(host: CurrentAgentHost, signal: AbortSignal): Promise<void> {
  for (let waitedMs = 0; host.isBusy() && waitedMs < MOST_BUSY_MS; waitedMs += BUSY_AGAIN_MS)
    await host.sleep(BUSY_AGAIN_MS, signal);
  host.end();
}

/** A new agent stays once a controller has welcomed it; until then it is on trial, and ends itself when none does. */
async function watchTrial(
  host: CurrentAgentHost,
  link: Pick<ControllerLink, "onWelcome">,
  signal: AbortSignal,
): Promise<void> {
  const welcomed = new AbortController();
  link.onWelcome(() => {
    if (welcomed.signal.aborted) return;
    welcomed.abort();
    endTrial(host, host.ownBuild).then(
      (wasOnTrial) => {
        if (wasOnTrial) host.log("the new agent was welcomed: it stays");
      },
      (error: unknown) => {
        host.log(`the trial of this agent: ${errorSentence(error)}`);
      },
    );
  });
  if (!(await isOnTrial(host))) return;
  await host
    .sleep(TRIAL_MS, AbortSignal.any([signal, welcomed.signal]))
    .then(() => {
      host.log("no session since this agent was put in place; starting it again");
      host.end();
    })
    .catch(() => undefined);
}
