import { readdir, readFile } from "node:fs/promises";

/** USER_HZ, in which /proc counts time; 100 on every architecture that muster runs on (getconf CLK_TCK). */
const TICKS_PER_SECOND = 100;

/** CPU seconds, user and system, that these processes have used so far: proc_pid_stat(5), fields 14 and 15. */
export async function readCpuSeconds(pids: readonly number[]): Promise<number> {
  const ticks = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8");
      // The name before ")" may hold anything; the third field follows it.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(fields[11]) + Number(fields[12]);
    }),
  );
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS_PER_SECOND;
}

/** The process and its children, and theirs. */
export async function listFamily(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  const children = text.split(" ").filter(Boolean).map(Number);
  return [pid, ...(await Promise.all(children.map(listFamily))).flat()];
}

/** Resident memory, and the share of it that no file backs (what really has to be there): proc_pid_status(5). */
export async function readMemory(
  pid: number,
): Promise<{ readonly name: string; readonly residentBytes: number; readonly anonymousBytes: number }> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const kib = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
  const command = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0");
  return {
    name: command.find((word) => /\.(mjs|ts)$/.test(word)) ?? command[0] ?? "",
    residentBytes: kib("VmRSS") * 1024,
    anonymousBytes: kib("RssAnon") * 1024,
  };
}

/**
 * How often the threads of a process gave the CPU back by themselves, which is how often they were woken:
 * proc_pid_status(5). Threads that have ended are not counted.
 */
export async function readVoluntarySwitches(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const counts = await Promise.all(
    threads.map(async (thread) => {
      const status = await readFile(`/proc/${pid}/task/${thread}/status`, "utf8").catch(() => "");
      return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1] ?? 0);
    }),
  );
  return counts.reduce((sum, one) => sum + one, 0);
}

/** CPU milliseconds of a process so far, to the microsecond: the first field of each thread's schedstat (sched-stats.rst). */
export async function readCpuMilliseconds(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const times = await Promise.all(
    threads.map(async (thread) => {
      const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8").catch(() => "0");
      return Number(text.split(" ")[0]) / 1e6;
    }),
  );
  return times.reduce((sum, one) => sum + one, 0);
}
