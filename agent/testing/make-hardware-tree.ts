import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FIXTURES = join(dirname(fileURLToPath(import.meta.url)), "../../test/fixtures/hardware");

/** A machine's /proc and /sys in a temporary directory. */
export interface HardwareTree extends AsyncDisposable {
  readonly root: string;
  /** Adds or replaces a file, or with `{ link }` a symbolic link. */
  readonly put: (path: string, content: string | Uint8Array | { readonly link: string }) => Promise<void>;
}

/**
 * Unpacks a recorded machine, test/fixtures/hardware/NAME.tree. Its first lines begin with "#" and say what machine it is;
 * then each line is a file, `F PATH JSON-STRING` or `B PATH BASE64`, or a link, `L PATH TARGET`. Without a name: nothing.
 */
export async function makeHardwareTree(name?: string): Promise<HardwareTree> {
  const root = await mkdtemp(join(tmpdir(), "muster-hardware-"));
  const put: HardwareTree["put"] = async (path, content) => {
    const at = join(root, path);
    await mkdir(dirname(at), { recursive: true });
    if (typeof content === "object" && "link" in content) await symlink(content.link, at);
    else await writeFile(at, content);
  };
  if (name !== undefined) {
    for (const line of (await readFile(join(FIXTURES, `${name}.tree`), "utf8")).split("\n")) {
      const [, kind, path = "", rest = ""] = /^([FBL]) (\S+) (.*)$/.exec(line) ?? [];
      if (kind === "F") await put(path, JSON.parse(rest) as string);
      if (kind === "B") await put(path, Buffer.from(rest, "base64"));
      if (kind === "L") await put(path, { link: rest });
    }
  }
  return { root, put, [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) };
}
