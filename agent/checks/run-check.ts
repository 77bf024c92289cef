import { statfs } from "node:fs/promises";

import {
  CHECK_NAMES,
  type CheckName,
  type CheckVerdict,
  renderVerdict,
} from "#proto/contract/check-verdict.ts";
import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import type { RunCheck } from "#proto/gen/muster/v1/directive.ts";

import { planClockVerdict, planLineVerdicts, planRootVerdict } from "./plan-check-verdicts.ts";

/** What checks look at. */
export interface CheckHost {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The root file system of the node. */
  readonly root: string;
  /** What of the runtime overlay is not as it should be. */
  readonly verifyOverlay: (signal: AbortSignal) => Promise<readonly string[]>;
  /** What of the hardware is not as it was reported. */
  readonly compareHardware: (signal: AbortSignal) => Promise<readonly string[]>;
}

/** Runs one check, or all of them one after the other: a line per verdict. A check that cannot be made has failed. */
export async function runCheck(
  host: CheckHost,
  asked: RunCheck,
  signal: AbortSignal,
): Promise<readonly string[]> {
  // Before anything else runs: the time under way counts as the clock's.
  const nowMs = host.now();
  const names = CHECK_NAMES.filter((name) => asked.name === "" || asked.name === name);
  if (names.length === 0) throw unknownCheck(asked.name);
  const verdicts: CheckVerdict[] = [];
  for (const name of names)
    verdicts.push(...(await check(host, name, asked.controllerTimeMs, nowMs, signal)));
  return verdicts.map(renderVerdict);
}

async function check(
  host: CheckHost,
  name: CheckName,
  controllerTimeMs: number,
  nowMs: number,
  signal: AbortSignal,
): Promise<readonly CheckVerdict[]> {
  try {
    switch (name) {
      case "overlay":
        return planLineVerdicts(name, await host.verifyOverlay(signal));
      case "hardware":
        return planLineVerdicts(name, await host.compareHardware(signal));
      case "clock":
        return [planClockVerdict(controllerTimeMs, nowMs)];
      case "root":
        return [await checkRoot(host.root)];
    }
  } catch (error) {
    signal.throwIfAborted();
    return [{ check: name, isRight: false, text: `cannot be checked: ${errorSentence(error)}` }];
  }
}

async function checkRoot(root: string): Promise<CheckVerdict> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(root);
  return planRootVerdict({
    totalBytes: blocks * bsize,
    freeBytes: bavail * bsize,
    files,
    freeFiles: ffree,
  });
}

function unknownCheck(name: string): MusterError {
  return new MusterError({
    code: "argument-invalid",
    what: `there is no check ${JSON.stringify(name)}`,
    fix: `one of: ${CHECK_NAMES.join(", ")}`,
  });
}
