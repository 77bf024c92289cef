import { readFile, readlink } from "node:fs/promises";

/**
 * Names one process for good: a pid alone is used again, with its start time and the boot it is not.
 * Serialised as the owner file of a lab.
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat (proc(5)): clock ticks since boot. */
  readonly startTime: string;
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: string;
  /** Target of /proc/self/ns/pid: pids of another container mean nothing here. */
  readonly pidNamespace: string;
}

/** The identity of this process. */
export async function readOwnIdentity(): Promise<ProcessIdentity> {
  const startTime = await readStartTime(process.pid);
  if (startTime === undefined) throw new Error("/proc has no entry for this process");
  return {
    pid: process.pid,
    startTime,
    bootId: (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim(),
    pidNamespace: await readlink("/proc/self/ns/pid"),
  };
}

/** When a process started, in clock ticks since boot; undefined when none with that pid runs (a zombie does not). */
export async function readStartTime(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The second field is the program's name in parentheses and may hold anything; the third follows the last one.
  const [state = "X", ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state === "Z" || state === "X" ? undefined : fields[18];
}

/**
 * Whether a process is certainly gone, seen by `self` while `startTime` is that of whatever has its pid now.
 *
 * | its boot | its pid namespace | start time now | verdict |
 * |---|---|---|---|
 * | another | - | - | gone |
 * | ours | another | - | cannot know: not gone |
 * | ours | ours | the same | alive |
 * | ours | ours | none, or another | gone |
 */
export function isGone(
  owner: ProcessIdentity,
  self: ProcessIdentity,
  startTime: string | undefined,
): boolean {
  if (owner.bootId !== self.bootId) return true;
  if (owner.pidNamespace !== self.pidNamespace) return false;
  return startTime !== owner.startTime;
}

/** Reads an owner file; undefined for anything that is none. */
export function parseProcessIdentity(text: string): ProcessIdentity | undefined {
  try {
    const value = JSON.parse(text) as Partial<Record<keyof ProcessIdentity, unknown>> | null;
    const { pid, startTime, bootId, pidNamespace } = value ?? {};
    return typeof pid === "number" &&
      typeof startTime === "string" &&
      typeof bootId === "string" &&
      typeof pidNamespace === "string"
      ? { pid, startTime, bootId, pidNamespace }
      : undefined;
  } catch {
    return undefined;
  }
}
