/** A line of a kernel log, with the time of the machine it is from. */
interface KernelLine {
  readonly at: Date;
  readonly text: string;
}

/** "[   12.345678] usb 1-1: new device": seconds since the kernel started. */
const KERNEL_TIME = /^\s*(?:<\d+>)?\[\s*(\d+\.\d+)\]\s*(.*)$/;

/** A kernel log as lines with their times; one without a time has that of the line before it. */
export function parseKernelLog(text: string, startedAt: Date): readonly KernelLine[] {
  let at = startedAt;
  return text.split("\n").flatMap((line) => {
    const [, seconds, rest = line] = KERNEL_TIME.exec(line) ?? [];
    if (seconds !== undefined) at = new Date(startedAt.getTime() + Math.round(Number(seconds) * 1000));
    return rest === "" ? [] : [{ at, text: rest }];
  });
}
