/**
 * The paths in a list of ACLs, as getfacl(1) writes it: "# file: var/log/journal" opens each entry; bytes that
 * would confuse are three octal digits after a backslash.
 */
export function parseAclPaths(list: string): readonly string[] {
  return list
    .split("\n")
    .filter((line) => line.startsWith("# file: "))
    .map((line) => unquote(line.slice("# file: ".length)));
}

function unquote(text: string): string {
  const bytes = Buffer.from(text).toString("latin1");
  const plain = bytes.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(plain, "latin1").toString("utf8");
}
