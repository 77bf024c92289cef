import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { parseDigest } from "#proto/contract/digest.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommand } from "#proto/host/run-command.ts";

import type { ImageVersionView } from "../../api/rest/schemas.ts";
import { type ImportEffects, importImage } from "../../images/import-image.ts";
import type { CliContext } from "../cli-context.ts";
import { showImportProgress } from "./show-import-progress.ts";

/** Modules of a large kernel, found, copied and packed on a slow disk. */
const INITRAMFS_DEADLINE_MS = 1_800_000;

/** `muster image import`: packs here, where the tree is, and uploads to the controller. */
export async function importTree(
  context: CliContext,
  directory: string,
  options: { readonly name: string; readonly temporaryDirectory?: string },
): Promise<number> {
  const { api, process } = context;
  const [program, ...first] = process.initramfsCommand;
  const tree = resolve(directory);
  const progress = await showImportProgress(context);
  const effects: ImportEffects = {
    upload: async (content, sizeBytes, signal) => {
      const { digest, ...stored } = await api.upload(content, undefined, signal);
      if (stored.sizeBytes === sizeBytes) return { digest: parseDigest(digest), sizeBytes };
      throw new MusterError({
        code: "blob-corrupt",
        what: `the controller stored ${stored.sizeBytes} of ${sizeBytes} bytes`,
        fix: "import again; if it stays so, look for what changes the files while they are read",
      });
    },
    register: async ({ image, ...version }) => {
      const path = `/images/${encodeURIComponent(image)}/versions`;
      const registered = await api.send<ImageVersionView>("POST", path, version);
      return { ...version, image, version: registered.version, createdAt: new Date(registered.createdAt) };
    },
    runInitramfs: async (args, signal) => {
      await runCommand({ program, args: [...first, ...args], deadlineMs: INITRAMFS_DEADLINE_MS }, signal);
    },
    onProgress: (step) => {
      progress.show(step);
    },
  };
  try {
    const version = await importImage(
      {
        tree,
        name: options.name,
        source: tree,
        temporaryDirectory: options.temporaryDirectory ?? tmpdir(),
        userId: process.userId,
      },
      effects,
      process.signal,
    );
    await progress.end();
    if (context.output !== "table") await context.print(version, () => "");
    context.note(`${version.image} v${version.version} is stable: nodes take it at their next boot`);
    return 0;
  } catch (error) {
    await progress.end(error);
    throw error;
  }
}
