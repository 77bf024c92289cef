import { readdir, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

import { errorSentence } from "#proto/contract/muster-error.ts";

import { type FileTrustFacts, type HookTrust, planHookTrust } from "./plan-hook-trust.ts";

/** An entry of hooks.d. */
export interface FoundHook {
  readonly name: string;
  readonly path: string;
  readonly trust: HookTrust;
}

/** The entries of hooks.d in the order of their names; none when there is no such directory. */
export async function findHooks(directory: string, musterdUid: number): Promise<readonly FoundHook[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  });
  if (names.length === 0) return [];
  const place = await factsOf(directory);
  return Promise.all(
    names.toSorted().map(async (name): Promise<FoundHook> => {
      const path = join(directory, name);
      try {
        const real = await realpath(path);
        const home = dirname(real);
        const places = [place, ...(home === directory ? [] : [await factsOf(home)])];
        return { name, path, trust: planHookTrust(name, await factsOf(real), places, musterdUid) };
      } catch (error) {
        return { name, path, trust: { verdict: "ignore", why: errorSentence(error) } };
      }
    }),
  );
}

async function factsOf(path: string): Promise<FileTrustFacts> {
  const found = await stat(path);
  return {
    path,
    isFile: found.isFile(),
    mode: found.mode,
    uid: found.uid,
  };
}
