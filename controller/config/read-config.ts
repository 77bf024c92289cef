import { access, open } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";

import { renderConfigFindings } from "./config-finding.ts";
import type { MusterConfig } from "./muster-config.ts";
import { parseConfig } from "./parse-config.ts";

/** A muster.yaml is a page of text; what is longer is something else. */
const MAX_CONFIG_BYTES = 256 * 1024;

/** Where distributions put iPXE's boot files: Debian and Ubuntu; Enterprise Linux and Fedora; Arch. */
const IPXE_DIRECTORIES = ["/usr/lib/ipxe", "/usr/share/ipxe", "/usr/lib/ipxe/x86_64"] as const;

/**
 * Reads and checks the configuration file. Throws `config-unreadable`, or `config-invalid` with every finding
 * on a line of its own: "FILE:LINE:COLUMN: key: what; fix".
 * `artifacts` is the directory with this release's initramfs archives, the default of `paths.artifacts`.
 */
export async function readConfig(path: string, artifacts: string): Promise<MusterConfig> {
  const text = await readText(path);
  const parsed = parseConfig(text, {
    cores: availableParallelism(),
    ipxe: await findIpxeDirectory(),
    artifacts,
  });
  if (parsed.config !== undefined) return parsed.config;
  const lines = renderConfigFindings(path, parsed.findings);
  throw new MusterError({
    code: "config-invalid",
    what: `${path} has ${lines.length} ${lines.length === 1 ? "error" : "errors"}\n${lines.join("\n")}`,
    fix: `correct the file; \`muster config check ${path}\` says when it is right`,
  });
}

async function readText(path: string): Promise<string> {
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    if (size > MAX_CONFIG_BYTES)
      throw new Error(`it has ${size} bytes; a configuration has less than 256 KiB`);
    return await file.readFile("utf8");
  } catch (error) {
    throw new MusterError({
      code: "config-unreadable",
      what: `cannot read ${path}: ${errorSentence(error)}`,
      fix: `start from the example that comes with muster (muster.yaml), or give another file with --config`,
      cause: error,
    });
  }
}

async function findIpxeDirectory(): Promise<string> {
  for (const directory of IPXE_DIRECTORIES) {
    for (const file of ["undionly.kpxe", "snponly.efi"]) {
      const isThere = await access(join(directory, file)).then(
        () => true,
        () => false,
      );
      if (isThere) return directory;
    }
  }
  return IPXE_DIRECTORIES[0];
}
