import type { BootHost } from "./boot-host.ts";

/** The most a failure report carries. */
const KERNEL_LOG_TAIL_BYTES = 64 * 1024;

/** The end of the kernel log, whole lines, at most 64 KiB; empty when it cannot be read. */
export async function readKernelLogTail(host: BootHost, signal: AbortSignal): Promise<string> {
  try {
    const { stdout } = await host.run(
      { program: host.paths.programs.busybox, args: ["dmesg"], deadlineMs: 5000 },
      signal,
    );
    return tailOfLines(stdout, KERNEL_LOG_TAIL_BYTES);
  } catch {
    // The report of a failure must not fail for want of its log.
    return "";
  }
}

/** The last whole lines of a text that fit into a number of bytes. */
export function tailOfLines(text: string, bytes: number): string {
  const all = Buffer.from(text, "utf8");
  if (all.length <= bytes) return text;
  const tail = all.subarray(all.length - bytes);
  const firstLine = tail.indexOf("\n") + 1;
  return tail.subarray(firstLine).toString("utf8");
}
