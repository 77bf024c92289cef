/** A mount of this machine. */
export interface Mount {
  readonly point: string;
  readonly isReadOnly: boolean;
  /** Of the file system: "overlay", "nfs4", ... */
  readonly type: string;
}

/**
 * Reads /proc/self/mountinfo (proc_pid_mountinfo(5)): mount point in field 5, its options in 6, those of the file
 * system after the separator. Blanks and backslashes of mount points stand as octal escapes.
 */
export function parseMountInfo(text: string): readonly Mount[] {
  return text.split("\n").flatMap((line) => {
    const fields = line.split(" ");
    const [point, options] = [fields[4], fields[5]];
    if (point === undefined || options === undefined) return [];
    const separator = fields.indexOf("-", 6);
    const [type = "", superOptions = ""] = [fields[separator + 1], fields[separator + 3]];
    const isReadOnly = [options, superOptions].some((each) => each.split(",").includes("ro"));
    return [{ point: unescape(point), isReadOnly, type }];
  });
}

/** The mount that a path lies on; of several at one point the last one is on top. */
export function mountOf(mounts: readonly Mount[], path: string): Mount {
  let best: Mount = { point: "/", isReadOnly: false, type: "" };
  for (const mount of mounts) {
    const isAbove = mount.point === "/" || path === mount.point || path.startsWith(`${mount.point}/`);
    if (isAbove && mount.point.length >= best.point.length) best = mount;
  }
  return best;
}

function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
