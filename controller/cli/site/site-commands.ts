import { MusterError } from "#proto/contract/muster-error.ts";
import { DEFAULT_CONFIG_PATH } from "../../config/default-config.ts";
import type { EventView, FindingView, SiteStatus } from "../../api/rest/schemas.ts";
import { type CliContext, EXIT_FINDINGS } from "../cli-context.ts";
import { readPositive } from "../read-number.ts";
import { printStream } from "../output/print-stream.ts";
import { renderEvent, renderFindings, renderStatus } from "./render-site.ts";
import { renderCount } from "../output/render-text.ts";

/** `muster dhcp show`. */
export async function showDhcp(context: CliContext, options: { readonly format: string }): Promise<number> {
  const snippet = await context.api.get<{ format: string; text: string }>("/dhcp/snippet", {
    format: options.format,
  });
  await context.print(snippet, () => snippet.text);
  return 0;
}

/** `muster events`. With --follow and -o json or yaml, each event is a document (a line of JSON) of its own. */
export async function showEvents(
  context: CliContext,
  options: { readonly follow?: true; readonly node?: string; readonly limit: string },
): Promise<number> {
  const query = { node: options.node, limit: readPositive("--limit", options.limit) };
  if (options.follow !== true) {
    const { events } = await context.api.get<{ events: readonly EventView[] }>("/events", query);
    if (events.length === 0) context.note("nothing has happened yet");
    await context.print(events, () => events.map(renderEvent).join(""));
    return 0;
  }
  const follow = (signal: AbortSignal): AsyncIterable<EventView> =>
    context.api.follow("/events", { ...query, follow: true }, signal);
  return printStream(context, follow, renderEvent);
}

/** `muster doctor`. On the controller it works without musterd: it is for the times when something does not start. */
export async function runDoctor(context: CliContext, options: { readonly config?: string }): Promise<number> {
  const findings = await askDoctor(context, options.config);
  await context.print(findings, () => renderFindings(findings));
  const errors = findings.filter(({ status }) => status === "error").length;
  const warnings = findings.filter(({ status }) => status === "warning").length;
  context.note(`${renderCount(errors, "error")}, ${renderCount(warnings, "warning")}`);
  return errors > 0 ? EXIT_FINDINGS : 0;
}

async function askDoctor(context: CliContext, config?: string): Promise<readonly FindingView[]> {
  try {
    return (await context.api.get<{ findings: readonly FindingView[] }>("/doctor")).findings;
  } catch (error) {
    const isDown = error instanceof MusterError && error.code === "controller-unreachable";
    if (!isDown || !context.isLocal) throw error;
    context.note("musterd does not answer; this is what this host looks like without it");
    const { runDoctorAlone } = await import("../../doctor/run-doctor-alone.ts");
    const { signal, artifacts } = context.process;
    return [
      {
        check: "musterd",
        status: "error",
        what: error.message,
        ...(error.fix === undefined ? {} : { fix: error.fix }),
      },
      ...(await runDoctorAlone(config ?? DEFAULT_CONFIG_PATH, artifacts, signal)),
    ];
  }
}

/** `muster status`. */
export async function showStatus(context: CliContext): Promise<number> {
  const status = await context.api.get<SiteStatus>("/status");
  await context.print(status, () => renderStatus(status));
  return 0;
}
