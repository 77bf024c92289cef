import type { KernelFeatures } from "../inventory/inventory.ts";

/** Where an image keeps the ACLs of its files: setfacl(1) --restore reads it in the root of the new system. */
const ACL_FILE = "usr/lib/muster/image.acl";

/** The directories above {@link ACL_FILE}. */
export const ACL_DIRECTORIES = ["usr", "usr/lib", "usr/lib/muster"] as const;

/** Emptied in the image: what is in them belongs to the machine it was made on. */
const EXCLUDED = [
  // "*" leaves names with a leading dot in, as in a shell.
  ...["proc", "sys", "dev", "run", "tmp"].flatMap((path) => [`${path}/*`, `${path}/.*`]),
  "boot/initrd*",
  "boot/initramfs*",
  // of an image made from a running node; ours is made anew
  ACL_FILE,
];

/** The arguments of mksquashfs(1) for an image. */
export function planPackArguments(request: {
  readonly tree: string;
  readonly out: string;
  readonly compression: KernelFeatures["squashfsCompression"];
  /** File whose content becomes {@link ACL_FILE}. */
  readonly aclFile: string | undefined;
  /** Which of {@link ACL_DIRECTORIES} the tree does not have. */
  readonly missingDirectories: readonly string[];
  /** Everything in the tree belongs to the one user who packs it: in the image it is root's. */
  readonly asRoot: boolean;
}): readonly string[] {
  return [
    request.tree,
    request.out,
    "-noappend",
    "-progress",
    "-xattrs",
    // Otherwise a file that cannot be read becomes an empty one, and that with exit status 0.
    "-exit-on-error",
    ...compressionArguments(request.compression),
    ...(request.asRoot ? ["-all-root"] : []),
    ...(request.aclFile === undefined
      ? []
      : [
          ...request.missingDirectories.flatMap((path) => ["-p", `${path} d 755 0 0`]),
          ...["-p", `${ACL_FILE} f 644 0 0 cat ${shellWord(request.aclFile)}`],
        ]),
    "-wildcards",
    "-e",
    ...EXCLUDED,
  ];
}

function compressionArguments(compression: KernelFeatures["squashfsCompression"]): readonly string[] {
  switch (compression) {
    // Level 9 is where the size stops falling fast: 15 takes five times as long for 6 % less (docs/performance.md).
    case "zstd":
      return ["-comp", "zstd", "-Xcompression-level", "9"];
    case "xz":
      return ["-comp", "xz"];
    case "gzip":
      return ["-comp", "gzip", "-Xcompression-level", "6"];
  }
}

/** mksquashfs gives the command of a pseudo file to a shell. */
function shellWord(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}

/**
 * What getfacl(1) printed (-R -P -s -n), without owners and without a leading "./": restoring it then sets
 * ACLs and nothing else. "" when no file has an ACL.
 */
export function planAclFile(output: string): string {
  return output
    .split("\n")
    .filter((line) => !/^# (owner|group|flags):/.test(line))
    .map((line) => line.replace(/^# file: \.\//, "# file: "))
    .join("\n")
    .trim()
    .replace(/(.)$/, "$1\n");
}
