import { lstat } from "node:fs/promises";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommand } from "#proto/host/run-command.ts";

import type { CliContext } from "../cli-context.ts";
import { fetchImage } from "./image-commands.ts";

/**
 * `muster initramfs list`: what is a path is read here; anything else is an image, whose modules archive is in
 * the store of the controller on this host.
 */
export async function listInitramfs(context: CliContext, what: string): Promise<number> {
  const [program, ...args] = context.process.initramfsCommand;
  const path = (await isThere(what)) ? what : await pathOfImage(context, what);
  const format = context.output === "table" ? [] : ["-o", "json"];
  const { stdout } = await runCommand(
    { program, args: [...args, "list", path, ...format] },
    context.process.signal,
  );
  if (context.output === "table") context.process.out(stdout);
  else await context.print(JSON.parse(stdout) as unknown, () => stdout);
  return 0;
}

async function pathOfImage(context: CliContext, name: string): Promise<string> {
  if (name.includes("/")) {
    throw new MusterError({
      code: "argument-invalid",
      what: `there is no ${name}`,
      fix: "give an archive, a directory of archives or an image",
    });
  }
  const image = await fetchImage(context, name);
  const stable = image.versions.find((version) => version.version === image.channels["stable"]);
  if (stable === undefined) {
    throw new MusterError({ code: "image-unknown", what: `image ${name} has no stable version` });
  }
  const { path } = await context.api.get<{ path: string }>(`/blobs/${stable.modules.digest}/path`);
  if (await isThere(path)) return path;
  throw new MusterError({
    code: "argument-invalid",
    what: `the archive of image ${name} is ${path} on the controller, which cannot be read here`,
    fix: "run this on the controller, as root or musterd",
  });
}

function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
