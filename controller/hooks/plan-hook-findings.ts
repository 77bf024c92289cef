import type { Finding } from "../doctor/plan-diagnosis.ts";
import type { HookView } from "./open-hooks.ts";

/** What `muster doctor` says of hooks; nothing where there are none. */
export function planHookFindings(hooks: readonly HookView[]): readonly Finding[] {
  const trouble = hooks.flatMap((hook) => findingOf(hook) ?? []);
  const usable = hooks.filter(({ trust }) => trust.verdict === "run").length;
  if (trouble.length > 0 || usable === 0) return trouble;
  const what =
    usable === 1 ? "1 hook, and nothing is wrong with it" : `${usable} hooks, and nothing is wrong with them`;
  return [{ check: "hooks", status: "ok", what }];
}

function findingOf({ name, path, trust, last }: HookView): Finding | undefined {
  if (trust.verdict === "refuse") {
    return { check: "hooks", status: "error", what: `hook ${name} is not run: ${trust.why}`, fix: trust.fix };
  }
  if (trust.verdict === "ignore" || last === undefined || last.outcome === "ok") return undefined;
  const [said = ""] = last.stderr.split("\n").slice(-1);
  return {
    check: "hooks",
    status: "warning",
    what: `hook ${name} failed when it ran last, at ${last.event} of ${last.about}: ${last.what}${said === "" ? "" : `: ${said}`}`,
    fix: `look at ${path}; try it: muster hook run ${last.event}`,
  };
}
