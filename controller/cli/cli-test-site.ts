import { join } from "node:path";

import type { FastifyInstance } from "fastify";

import { openTestSite, type TestSite } from "../api/rest/api-test-site.ts";
import { createApi } from "../api/rest/create-api.ts";
import { listenOnSocket } from "../api/rest/listen.ts";
import type { CliProcess } from "./cli-context.ts";
import { typeCommand } from "./type-command.ts";

/** For tests: a controller's site behind its socket, and somebody who types commands there. */
export interface CliSite extends AsyncDisposable {
  readonly site: TestSite;
  readonly api: FastifyInstance;
  readonly socket: string;
  /** Types `muster ...`; see {@link typeCommand}. */
  type(line: string, more?: Partial<CliProcess>): Promise<string>;
  /**
   * Types every "$ muster ..." of a session and returns what was shown in its place: a session that is still true is
   * returned as it is. Lines that begin with "# " are for readers and stay, with an empty line before them.
   */
  replay(session: string, more?: Partial<CliProcess>): Promise<string>;
}

/** `now` is what the inventory has for a clock; people type at TEST_NOW. */
export async function openCliSite(now?: () => Date): Promise<CliSite> {
  const site = await openTestSite(now);
  const api = await createApi(site.deps, { by: "socket" });
  const socket = join(site.directory, "control.sock");
  await listenOnSocket(api, socket, "root");
  const type = (line: string, more: Partial<CliProcess> = {}): Promise<string> =>
    typeCommand(socket, line, more);
  return {
    site,
    api,
    socket,
    type,
    replay: async (session, more) => {
      let shown = "";
      const lines = session.split("\n");
      for (const [at, line] of lines.entries()) {
        if (line.startsWith("# ")) shown += lines[at - 1] === "" ? `\n${line}\n` : `${line}\n`;
        if (line.startsWith("$ muster ")) shown += await type(line.slice("$ muster ".length), more);
      }
      return shown;
    },
    [Symbol.asyncDispose]: async () => {
      await api.close();
      await site[Symbol.asyncDispose]();
    },
  };
}
