import type { AgentRelease } from "#proto/gen/muster/v1/session.ts";

/** What was tried in this boot, by the name of the build: /run/muster/update/tried.json. */
export interface UpdateRecord {
  /** Begun, and not always ended: a crash on the way counts. */
  readonly attempts: Readonly<Record<string, number>>;
  /** Put in place, and not yet welcomed. One that is here and does not run was given up by the unit. */
  readonly installed: readonly string[];
}

export const NOTHING_TRIED: UpdateRecord = { attempts: {}, installed: [] };

/** What to do about the agent a controller gives to its nodes. */
export type UpdatePlan =
  | { readonly kind: "none" }
  | { readonly kind: "left"; readonly why: string }
  | { readonly kind: "fetch"; readonly delayMs: number };

const MOST_ATTEMPTS = 3;
/** Ten times what it is: a size beyond is a mistake, and would fill the node's memory. */
const MAX_SIZE_BYTES = 1024 ** 3;

/**
 * Whether to fetch the controller's agent, and when. The controller decides which agent is right, also when its own is
 * the older one: a release is rolled back by installing the one before on the controller.
 *
 * | release                                  | what                                   |
 * |------------------------------------------|----------------------------------------|
 * | none, or this build, or this has no name | nothing                                |
 * | was put in place in this boot, in vain   | left: it did not work                  |
 * | was tried three times                    | left                                   |
 * | without a place to fetch it, or too big  | left                                   |
 * | another                                  | fetched, at a moment within the spread |
 */
export function planAgentUpdate(
  ownBuild: string,
  release: AgentRelease | undefined,
  record: UpdateRecord,
  random: number,
): UpdatePlan {
  if (release === undefined || ownBuild === "" || release.digest === ownBuild) return { kind: "none" };
  const { digest, version, blob, sizeBytes, spreadSeconds } = release;
  const left = (why: string): UpdatePlan => ({ kind: "left", why: `agent ${version} is left: ${why}` });
  if (record.installed.includes(digest)) return left("it was put in place in this boot and did not stay");
  if ((record.attempts[digest] ?? 0) >= MOST_ATTEMPTS) return left(`tried ${MOST_ATTEMPTS} times`);
  if (blob === undefined) return left("the controller does not say where it is");
  if (sizeBytes <= 0 || sizeBytes > MAX_SIZE_BYTES) return left(`${sizeBytes} bytes is no size of an agent`);
  return { kind: "fetch", delayMs: Math.round(1000 * spreadSeconds * random) };
}

/** The record without a build that works: whatever comes in between, it may be put in place again. */
export function withSuccess(record: UpdateRecord, digest: string): UpdateRecord {
  const attempts = Object.fromEntries(Object.entries(record.attempts).filter(([tried]) => tried !== digest));
  return { attempts, installed: record.installed.filter((each) => each !== digest) };
}

/** The record with one more attempt. */
export function withAttempt(record: UpdateRecord, digest: string): UpdateRecord {
  const attempts = { ...record.attempts, [digest]: (record.attempts[digest] ?? 0) + 1 };
  return { ...record, attempts };
}
