/** Extended attributes by path, as getfattr(1) printed the path. */
export type XattrsByPath = ReadonlyMap<string, Readonly<Record<string, Buffer>>>;

/**
 * Reads `getfattr --dump --encoding=hex`: "# file: PATH", lines of NAME=0xHEX, an empty line. Backslash,
 * newline and "=" stand as octal escapes in paths and names. Throws a plain Error on anything else.
 */
export function parseGetfattr(output: string): XattrsByPath {
  const found = new Map<string, Record<string, Buffer>>();
  let current: Record<string, Buffer> | undefined;
  for (const line of output.split("\n")) {
    if (line === "") continue;
    if (line.startsWith("# file: ")) {
      current = {};
      found.set(unescape(line.slice("# file: ".length)), current);
      continue;
    }
    const [, name, hex] = /^([^=]+)=0x((?:[0-9a-fA-F]{2})*)$/.exec(line) ?? [];
    if (name === undefined || hex === undefined || current === undefined) {
      throw new Error(`getfattr printed ${JSON.stringify(line.slice(0, 200))}`);
    }
    current[unescape(name)] = Buffer.from(hex, "hex");
  }
  return found;
}

/**
 * Whether an attribute belongs to the file and not to the machine it lies on: SELinux labels and EVM signatures
 * are the controller's own, trusted.overlay.* that of a container it runs in, and NFS ACLs only NFS can take.
 */
export function isPortableXattr(name: string): boolean {
  return (
    /^(user|trusted|security)\.|^system\.posix_acl_/.test(name) &&
    !/^security\.(selinux|evm|SMACK64)|^(trusted|user)\.overlay\./.test(name)
  );
}

function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
