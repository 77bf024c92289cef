import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { startDaemon } from "#proto/host/run-command.ts";

import { openTestSite } from "../../controller/api/rest/api-test-site.ts";
import { createApi } from "../../controller/api/rest/create-api.ts";
import { listenOnSocket } from "../../controller/api/rest/listen.ts";

const MUSTER = fileURLToPath(new URL("../../controller/cli/main.ts", import.meta.url));
const NODES = 2000;

/** From before the program has read the text until after it is done, on a quiet machine and on a busy one. */
const KILLED_AFTER_MS = [150, 400, 600, 800, 1000, 1300, 1700] as const;

test("muster apply that is killed has changed everything or nothing", { timeout: 120_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), "muster-killed-"));
  await using site = await openTestSite();
  const api = await createApi(site.deps, { by: "socket" });
  try {
    const socket = join(directory, "control.sock");
    await listenOnSocket(api, socket, "root");
    const text = join(directory, "site.yaml");
    const counts = new Set<number>();
    for (const [run, ms] of KILLED_AFTER_MS.entries()) {
      const nodes = Array.from({ length: NODES }, (_, at) => `  c${at}: {comment: "run ${run}"}\n`);
      await writeFile(text, `nodes:\n${nodes.join("")}`);
      const muster = await startDaemon({
        program: process.execPath,
        args: ["--no-warnings", MUSTER, "apply", "-f", text, "--yes"],
        env: { PATH: process.env["PATH"] ?? "", MUSTER_SOCKET: socket },
        onLine: () => undefined,
      });
      await Promise.race([wait(ms), muster.exited]);
      muster.kill("SIGKILL");
      await muster.exited;
      // what musterd had got by then, it finishes
      await api.inject("/api/v1/inventory?nodes=c0").catch(() => undefined);
      const state = await site.deps.inventory.listRecords();
      const comments = new Set(state.nodes.map(({ fields }) => fields.comment));
      expect(comments.size).toBeLessThanOrEqual(1);
      counts.add(state.nodes.length);
    }
    expect([...counts].every((count) => count === 0 || count === NODES)).toBe(true);
  } finally {
    await api.close();
    await rm(directory, { recursive: true, force: true });
  }
});
