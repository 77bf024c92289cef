import { errorSentence } from "#proto/contract/muster-error.ts";
import type { OverlayStatus } from "#proto/gen/muster/v1/overlay.ts";

import type { ControllerLink } from "../session/controller-link.ts";
import type { ConvergeOutcome } from "./converge-overlay.ts";
import type { PlannedDrift } from "./update-plan.ts";

/** As OverlayStatus says. */
const MOST_DRIFT = 100;
/** As much as the controller keeps; a status must fit in a message of 1 MiB, whatever paths and commands are like. */
const MOST_REACTIONS = 32;
const MOST_TEXT = 500;

/** Tells the controller what the node has: after each change, and when a look finds something else than the last. */
export function openReporter(link: ControllerLink): {
  readonly report: (outcome: ConvergeOutcome, wantedDigest: string) => void;
  readonly forget: () => void;
} {
  let last = "";
  /** What was put right, and what ran, while no controller listened: part of the next status that one gets. */
  let untold: Pick<ConvergeOutcome, "drift" | "reactions"> = { drift: [], reactions: [] };
  return {
    forget: () => {
      last = "";
    },
    report: (looked, wantedDigest) => {
      const outcome = withUntold(untold, looked);
      const isNothing =
        outcome.digest === "" && outcome.failure === undefined && outcome.changed.length === 0;
      // Before the first answer of the first controller.
      if (isNothing && outcome.drift.length === 0) return;
      const status = renderStatus(outcome, wantedDigest);
      const said = JSON.stringify({ ...status, changed: 0, reactions: [] });
      if (said === last && outcome.changed.length === 0) return;
      if (link.send({ $case: "overlayStatus", value: status })) {
        last = said;
        untold = { drift: [], reactions: [] };
      } else {
        // What was not put right will still be there.
        const repaired = outcome.drift.filter(({ isRepaired }) => isRepaired);
        untold = { drift: repaired.slice(-MOST_DRIFT), reactions: outcome.reactions };
      }
    },
  };
}

/** What a look found, after what earlier ones found and could tell nobody: of each path the last, of reactions the last run. */
function withUntold(
  untold: Pick<ConvergeOutcome, "drift" | "reactions">,
  looked: ConvergeOutcome,
): ConvergeOutcome {
  const drift = new Map([...untold.drift, ...looked.drift].map((each) => [each.path, each]));
  const reactions = looked.reactions.length > 0 ? looked.reactions : untold.reactions;
  return { ...looked, drift: [...drift.values()], reactions };
}

function renderStatus(
  { digest, appliedAtMs, drift, changed, reactions, failure }: ConvergeOutcome,
  wantedDigest: string,
): OverlayStatus {
  return {
    digest,
    appliedAtMs: Math.round(appliedAtMs),
    failure:
      failure === undefined
        ? undefined
        : {
            digest: wantedDigest,
            code: failure.code,
            what: short(errorSentence(failure)),
            fix: short(failure.fix ?? ""),
          },
    drift: drift
      .slice(0, MOST_DRIFT)
      .map(({ path, what, isRepaired }) => ({ path: short(path), what: short(what), repaired: isRepaired })),
    driftCount: drift.length,
    // Those that failed first: they are what is to be known.
    reactions: reactions
      .toSorted((a, b) => Number(a.failure === "") - Number(b.failure === ""))
      .slice(0, MOST_REACTIONS)
      .map((each) => ({ ...each, command: short(each.command), failure: short(each.failure) })),
    changed: changed.length,
  };
}

function short(text: string): string {
  return text.slice(0, MOST_TEXT);
}

/** Lines for whoever asked for the look; throws why what is wanted is not there. */
export function describeOutcome({ changed, drift, reactions, failure }: ConvergeOutcome): readonly string[] {
  if (failure !== undefined) throw failure;
  const count = changed.length === 0 ? "nothing to change" : `${changed.length} paths changed`;
  const failed = reactions.filter((each) => each.failure !== "");
  return [
    count,
    ...drift.map(describeDrift),
    ...failed.map(({ command, failure: why }) => `reaction ${JSON.stringify(command)}: ${why}`),
  ];
}

function describeDrift({ path, what, isRepaired }: PlannedDrift): string {
  return `${path}: ${what}${isRepaired ? " (put right)" : ""}`;
}
