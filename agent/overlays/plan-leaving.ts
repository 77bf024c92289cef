import { dirname } from "node:path";

import type { PathStat } from "./node-disk.ts";
import { mustBeWritable, type PlanDraft, shownIn, stagedFor, willReplace } from "./overlay-plan-draft.ts";
import type { OwnedPlace } from "./runtime-state.ts";

/** What an overlay no longer has: what it covered comes back. */
export function planLeaving(plan: PlanDraft, before: OwnedPlace): void {
  const { place, covered, type, path } = before;
  const found = plan.facts.owned.get(place);
  if (found === undefined) throw new Error(`no facts for ${place}`);
  mustBeWritable(plan, place);
  switch (covered.kind) {
    case "directory":
      plan.changed.push(path);
      if (found.type === "directory")
        plan.leaves.push({ kind: "set-directory", place, attributes: covered.attributes });
      return;
    case "saved":
      plan.changed.push(path);
      restore(plan, before, covered.name, found);
      return;
    case "nothing":
      if (type === "absent" || found.type === "absent") return;
      plan.changed.push(path);
      // Where the overlay had a file and a directory is now, that is somebody else's.
      if (found.type === "directory") {
        if (type === "directory") plan.leaves.push({ kind: "leave-directory", place });
        return;
      }
      willReplace(plan, place, found);
      plan.leaves.push({ kind: "remove", place });
      return;
    default:
      return covered satisfies never;
  }
}

/** What was kept goes back to its place. */
function restore(plan: PlanDraft, { place, path }: OwnedPlace, name: string, found: PathStat): void {
  // Somebody removed the directory it was in: there is nothing for it to come back to.
  if ((plan.facts.ancestors.get(dirname(place))?.type ?? "directory") !== "directory") return;
  const stranger = found.type === "directory" ? plan.facts.strangers.get(place) : undefined;
  if (stranger !== undefined) {
    plan.problems.push(
      `${path} has to give way to what the image has there, but holds ${shownIn(plan, stranger)}; move that away`,
    );
  }
  const from = `${plan.options.covered}/${name}`;
  const staged = stagedFor(plan, place);
  const isHere = staged.startsWith(`${plan.options.staging}/`);
  if (!isHere) plan.recoveries.push({ from, staged });
  willReplace(plan, place, found);
  plan.leaves.push({ kind: "restore", place, from: isHere ? from : staged });
}
