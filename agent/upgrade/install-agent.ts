import { createReadStream, createWriteStream } from "node:fs";
import { chmod, mkdir, readFile, rename, rm, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdDecompress } from "node:zlib";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { AgentRelease } from "#proto/gen/muster/v1/session.ts";
import type { runCommand } from "#proto/host/run-command.ts";
import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";

import { type BlobFetch, fetchBlob } from "../boot/fetch-blob.ts";
import { readIdentity } from "../identity/store-identity.ts";
import { readNodeRecord } from "../node-record.ts";
import type { SessionHost } from "../session/session-host.ts";
import { NOTHING_TRIED, type UpdateRecord, withAttempt, withSuccess } from "./plan-agent-update.ts";

/** What installing an agent touches. */
export interface UpgradeHost extends Omit<SessionHost, "agentDigest" | "agentVersion"> {
  readonly run: typeof runCommand;
  /** The executable that runs, by the path it was started from. */
  readonly program: string;
}

/** The blob is small; what a controller that is overloaded cannot give within this is asked for at the next session. */
const FETCH_DEADLINE_MS = 15 * 60_000;
const SELF_TEST_MS = 30_000;
/** Node can hang at its exit (see agent/main.ts), which says nothing of the agent. */
const SELF_TESTS = 3;
/** Free space beside what the files take, so that an update never fills the root of a node. */
const RESERVE_BYTES = 64 * 1024 * 1024;

/** What was tried in this boot. An unreadable record counts as none: the attempts of this one are counted anew. */
export async function readUpdateRecord(host: Pick<UpgradeHost, "paths">): Promise<UpdateRecord> {
  try {
    return JSON.parse(await readFile(join(host.paths.update, TRIED), "utf8")) as UpdateRecord;
  } catch {
    return NOTHING_TRIED;
  }
}

/**
 * Puts the controller's agent in the place of the one that runs: fetches it, verified by digest, lets it say its build,
 * renames it over. The new file is an executable in the root's tmpfs, 109 MB until the next boot, which brings the new
 * agent in its layer; a squashfs of 35 MB would have to be mounted, which the agent's unit may not do and which nobody
 * outside of its mount namespace would see. Until the first welcome of the new one, a file "trying" lets
 * muster-agent.service count its starts and bring back the agent of the boot. Nothing is left of an update that fails.
 */
export async function installAgent(
  host: UpgradeHost,
  release: AgentRelease,
  signal: AbortSignal,
): Promise<void> {
  const { blob, digest, sizeBytes } = release;
  if (blob === undefined) throw new Error("planAgentUpdate fetches no agent without a blob");
  const { update } = host.paths;
  await mkdir(update, { recursive: true, mode: 0o700 });
  const record = withAttempt(await readUpdateRecord(host), digest);
  await storeRecord(host, record);
  const { packed, fresh } = leftoversOf(host);
  try {
    await requireSpace(update, blob.sizeBytes);
    await requireSpace(dirname(host.program), sizeBytes);
    await fetchBlob(fetchHostOf(host), await planFetch(host, { blob, path: packed }), signal);
    await unpack(packed, fresh, sizeBytes, signal);
    await rm(packed, { force: true });
    await selfTest(host, fresh, digest, signal);
    // Before the rename: a start that cannot be counted could not be undone.
    await writeFileAtomically(join(update, TRYING), "");
    await storeRecord(host, { ...record, installed: [...record.installed, digest] });
    await rename(fresh, host.program);
  } catch (error) {
    await removeLeftovers(host);
    throw error;
  }
}

/** After an agent that ended in the middle of an update: 109 MB of the node's memory. */
export async function removeLeftovers(host: Pick<UpgradeHost, "paths" | "program">): Promise<void> {
  for (const path of Object.values(leftoversOf(host))) await rm(path, { force: true });
}

function leftoversOf({ paths, program }: Pick<UpgradeHost, "paths" | "program">): {
  readonly packed: string;
  readonly fresh: string;
} {
  return { packed: join(paths.update, "agent.zst"), fresh: `${program}.new` };
}

/** The agent that runs has been welcomed: it stays, and may be put in place again. True when it was on trial. */
export async function endTrial(host: Pick<UpgradeHost, "paths">, build: string): Promise<boolean> {
  if (!(await isOnTrial(host))) return false;
  await storeRecord(host, withSuccess(await readUpdateRecord(host), build));
  await rm(join(host.paths.update, TRYING), { force: true });
  return true;
}

export async function isOnTrial(host: Pick<UpgradeHost, "paths">): Promise<boolean> {
  return readFile(join(host.paths.update, TRYING)).then(
    () => true,
    () => false,
  );
}

const TRIED = "tried.json";
/** As muster-agent.service has it. */
const TRYING = "trying";

async function storeRecord(host: Pick<UpgradeHost, "paths">, record: UpdateRecord): Promise<void> {
  await writeFileAtomically(join(host.paths.update, TRIED), JSON.stringify(record), 0o600);
}

async function planFetch(host: UpgradeHost, what: Pick<BlobFetch, "blob" | "path">): Promise<BlobFetch> {
  const identity = await readIdentity(host.paths.identity);
  if (identity === undefined) throw new Error(`${host.paths.identity} holds no identity`);
  const { node } = await readNodeRecord(host.paths);
  return {
    ...what,
    addresses: node.blobAddresses,
    identity,
    deadlineUptimeMs: host.uptimeMs() + FETCH_DEADLINE_MS,
    onProgress: () => undefined,
  };
}

function fetchHostOf(host: UpgradeHost): Parameters<typeof fetchBlob>[0] {
  const { paths, uptimeMs, now, random, sleep, run, log } = host;
  return { paths, uptimeMs, now, random, sleep, run, console: { line: log } };
}

async function requireSpace(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize >= bytes + RESERVE_BYTES) return;
  throw new MusterError({
    code: "disk-full",
    what: `${directory} has no room for a new agent of ${bytes} bytes`,
    fix: "free some space on the node, or restart it: its next boot brings the new agent",
  });
}

/** Never writes more than `sizeBytes`: a packed file can be far larger than it looks. */
async function unpack(packed: string, to: string, sizeBytes: number, signal: AbortSignal): Promise<void> {
  let bytes = 0;
  const limit = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      bytes += chunk.length;
      if (bytes > sizeBytes)
        done(new Error(`the new agent is larger than the ${sizeBytes} bytes it should have`));
      else done(null, chunk);
    },
  });
  await pipeline(
    createReadStream(packed),
    createZstdDecompress(),
    limit,
    createWriteStream(to, { mode: 0o755 }),
    { signal },
  );
  if (bytes !== sizeBytes) throw new Error(`the new agent has ${bytes} bytes, not ${sizeBytes}`);
  // The unit's UMask took most of the mode given at creation; others than root use `muster-agent hardware`.
  await chmod(to, 0o755);
}

/** It starts on this machine, and is what it should be. */
async function selfTest(
  host: UpgradeHost,
  program: string,
  build: string,
  signal: AbortSignal,
): Promise<void> {
  const ask = (left: number): ReturnType<typeof host.run> =>
    host.run({ program, args: ["--version"], deadlineMs: SELF_TEST_MS }, signal).catch((error: unknown) => {
      if (left > 1 && error instanceof MusterError && error.code === "deadline-exceeded")
        return ask(left - 1);
      throw error;
    });
  const { stdout } = await ask(SELF_TESTS);
  if (stdout.split("\n").includes(`build ${build}`)) return;
  throw new Error(`the new agent is not build ${build}: it says ${JSON.stringify(stdout.slice(0, 200))}`);
}
