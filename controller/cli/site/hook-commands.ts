import type { HookList, HookTestResult, HookView } from "../../api/rest/hook-routes.ts";
import { type CliContext, EXIT_FINDINGS } from "../cli-context.ts";
import { readPositive } from "../read-number.ts";
import { renderAge, renderDuration, renderTable } from "../output/render-text.ts";
import { resolveNodes } from "../node-sets/resolve-nodes.ts";

/** `muster hook list`. */
export async function listHooks(context: CliContext): Promise<number> {
  const list = await context.api.get<HookList>("/hooks");
  if (context.output !== "table" || list.hooks.length > 0) {
    await context.print(list, () => renderHookTable(list.hooks, context.process.now()));
  }
  if (list.hooks.length === 0) context.note(`no hook in ${list.directory}`);
  for (const { name, verdict, why, fix, last } of list.hooks) {
    if (verdict === "refuse") context.note(`${name} is not run: ${why ?? ""}\n  fix: ${fix ?? ""}`);
    else if (last !== undefined && last.outcome !== "ok" && last.stderr !== "") {
      context.note(`${name} said: ${last.stderr.replaceAll("\n", `\n${" ".repeat(name.length + 7)}`)}`);
    }
  }
  return 0;
}

/** `muster hook run`. */
export async function runHooks(
  context: CliContext,
  event: string,
  options: { readonly node?: string; readonly change?: string; readonly dryRun?: true },
): Promise<number> {
  const { node, change, dryRun } = options;
  const names = node === undefined ? undefined : (await resolveNodes(context, node)).join(",");
  const result = await context.api.send<HookTestResult>("POST", "/hooks/run", {
    event,
    ...(names === undefined ? {} : { names }),
    ...(change === undefined ? {} : { change: readPositive("--change", change) }),
    ...(dryRun === true ? { dryRun } : {}),
  });
  if (context.output !== "table") await context.print(result, () => "");
  else if (dryRun === true) context.process.out(`${JSON.stringify(result.input, null, 2)}\n`);
  if (result.runs.length === 0) context.note("there is no hook that could run: muster hook list");
  for (const { name, run } of result.runs) {
    if (run === undefined) {
      context.note(`would run: ${name} ${event}`);
      continue;
    }
    if (context.output === "table" && run.stdout !== "") context.process.out(`${run.stdout}\n`);
    if (run.stderr !== "") context.note(run.stderr);
    const how = run.outcome === "ok" ? "ended well" : run.what;
    context.note(`${name} ${event}: ${how}, after ${renderDuration(run.ms)}`);
  }
  return result.runs.every(({ run }) => run === undefined || run.outcome === "ok") ? 0 : EXIT_FINDINGS;
}

function renderHookTable(hooks: readonly HookView[], now: Date): string {
  return renderTable(
    ["NAME", "RUNS", "LAST RUN", "EVENT", "ABOUT", "ENDED", "TOOK", "WAITING"],
    hooks.map(({ name, verdict, why, waiting, last }) => [
      name,
      verdict === "run" ? "yes" : verdict === "ignore" ? `no: ${why ?? ""}` : "REFUSED",
      last === undefined ? "" : renderAge(last.at, now),
      last?.event ?? "",
      last?.about ?? "",
      last === undefined ? "" : last.outcome === "ok" ? "ok" : last.what,
      last === undefined ? "" : renderDuration(last.ms),
      waiting === 0 ? "" : String(waiting),
    ]),
    ["WAITING"],
  );
}
