import { readFile } from "node:fs/promises";

import { compareHardware, renderHardwareChange } from "#proto/contract/compare-hardware.ts";
import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";

import type { HostPaths } from "../host-paths.ts";
import type { ControllerLink } from "../session/controller-link.ts";
import type { SessionHost } from "../session/session-host.ts";
import { type EncodedReport, encodeReport, gatherHardware, type HardwareHost } from "./gather-hardware.ts";

/**
 * A node that has just become ready has better things to do, and a controller that has just come back has thousands of
 * nodes to welcome.
 */
const WAIT = { leastMs: 3000, spreadMs: 27_000 };
/** As session.proto says. Some thousand PCI devices fit. */
const MAX_REPORT_BYTES = 1024 ** 2;

/** What directives ask of {@link keepHardwareReported}: each answers lines for people. */
export interface HardwareDuty {
  /** Looks anew and reports, also when nothing changed. Throws `controller-unreachable` when there is no session. */
  readonly report: (signal: AbortSignal) => Promise<readonly string[]>;
  /** Looks anew and says what differs from the last report of this boot, a line each; none without one. Reports nothing. */
  readonly compare: (signal: AbortSignal) => Promise<readonly string[]>;
}

/** What the duty needs of its surroundings. */
export type HardwareDutyHost = Pick<SessionHost, "log" | "random" | "sleep"> & {
  readonly paths: Pick<HostPaths, "hardware">;
  readonly hardware: HardwareHost;
};

/**
 * Keeps the controller's report of this machine right: once per start of the agent, some seconds after the first
 * welcome, and after that only to a controller that has another one. It never looks by itself otherwise: hardware
 * changes when a machine is off, and what jobs of the node pay for a look is not worth an earlier word.
 */
export function keepHardwareReported(
  host: HardwareDutyHost,
  link: Pick<ControllerLink, "send" | "onWelcome">,
): HardwareDuty {
  let reported: string | undefined;

  const look = async (signal: AbortSignal): Promise<Look> => {
    const report = await gatherHardware(host.hardware, signal);
    return { encoded: encodeReport(report), changes: await compareWithLast(host.paths.hardware, report) };
  };
  const send = async ({ encoded }: Look): Promise<boolean> => {
    if (encoded.bytes.length > MAX_REPORT_BYTES) {
      throw new Error(`a hardware report of ${encoded.bytes.length} bytes is too long to be sent`);
    }
    const { bytes: report, digest } = encoded;
    if (!link.send({ $case: "hardwareReport", value: { digest, report } })) return false;
    reported = digest;
    await writeFileAtomically(host.paths.hardware, report, 0o600);
    return true;
  };

  link.onWelcome((welcome, ended) => {
    // The agent that was asked at its start what the machine is need not look again: the answer is the same.
    if (reported !== undefined && reported === welcome.hardwareDigest) return;
    const afterWelcome = async (): Promise<void> => {
      await host.sleep(WAIT.leastMs + Math.round(WAIT.spreadMs * host.random()), ended);
      const seen = await look(ended);
      if (seen.encoded.digest === welcome.hardwareDigest) {
        reported = seen.encoded.digest;
        await writeFileAtomically(host.paths.hardware, seen.encoded.bytes, 0o600);
      } else if (await send(seen)) host.log("hardware reported");
    };
    afterWelcome().catch((error: unknown) => {
      if (!ended.aborted) host.log(`hardware not reported: ${errorSentence(error)}`);
    });
  });

  return {
    report: async (signal) => {
      const seen = await look(signal);
      if (await send(seen)) return renderChanges(seen.changes);
      throw new MusterError({
        code: "controller-unreachable",
        what: "the hardware report was not sent: there is no session with a controller",
      });
    },
    compare: async (signal) => (await look(signal)).changes ?? [],
  };
}

interface Look {
  readonly encoded: EncodedReport;
  /** Undefined: there is no report in this boot to compare with. */
  readonly changes: readonly string[] | undefined;
}

function renderChanges(changes: readonly string[] | undefined): readonly string[] {
  if (changes === undefined) return ["first report of this boot"];
  return changes.length === 0 ? ["as last reported"] : changes;
}

async function compareWithLast(path: string, report: HardwareReport): Promise<readonly string[] | undefined> {
  const last = await readFile(path, "utf8").catch(() => undefined);
  if (last === undefined) return undefined;
  return compareHardware(JSON.parse(last) as HardwareReport, report).map(renderHardwareChange);
}
