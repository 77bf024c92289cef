import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { readConfig } from "../config/read-config.ts";
import type { DoctorEffects } from "./gather-doctor-facts.ts";
import type { Finding } from "./plan-diagnosis.ts";
import { runDoctor } from "./run-doctor.ts";

/**
 * The doctor without a running musterd: reads the configuration file itself; a file that cannot be read or is wrong
 * is the one finding then. `artifacts` as in `readConfig`.
 */
export async function runDoctorAlone(
  configPath: string,
  artifacts: string,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  try {
    const config = await readConfig(configPath, artifacts);
    return await runDoctor(config, { readAuthority: () => readAuthority(config.paths.state) }, signal);
  } catch (error) {
    if (!(error instanceof MusterError) || !["config-unreadable", "config-invalid"].includes(error.code))
      throw error;
    const fix = error.fix === undefined ? {} : { fix: error.fix };
    return [{ check: "config", status: "error", what: errorSentence(error), ...fix }];
  }
}

/** Undefined before the first start, and for who may not read it. The controller's own certificate is made at each start. */
async function readAuthority(
  state: string,
): Promise<Awaited<ReturnType<NonNullable<DoctorEffects["readAuthority"]>>>> {
  const pem = await readFile(join(state, "authority", "authority.crt"), "utf8").catch(() => undefined);
  if (pem === undefined) return undefined;
  return { fingerprint: new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase() };
}
