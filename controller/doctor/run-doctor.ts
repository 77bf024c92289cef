import type { MusterConfig } from "../config/muster-config.ts";
import { type DoctorEffects, gatherDoctorFacts } from "./gather-doctor-facts.ts";
import { type Finding, planDiagnosis } from "./plan-diagnosis.ts";

/** `muster doctor`: looks at this host and says what would stop nodes from booting. Takes about two seconds, changes nothing. */
export async function runDoctor(
  config: MusterConfig,
  effects: DoctorEffects,
  signal?: AbortSignal,
): Promise<readonly Finding[]> {
  return planDiagnosis(config, await gatherDoctorFacts(config, effects, signal));
}
