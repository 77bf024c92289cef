import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { openApiClient } from "./api-client.ts";

test("a controller that dies with a change in hand is no controller that was never there", async () => {
  const directory = mkdtempSync(join(tmpdir(), "muster-client-"));
  const path = join(directory, "control.sock");
  const server = createServer((request) => request.socket.destroy());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await using client = openApiClient(async () => ({ by: "socket", path, user: "root" }));
    await expect(client.send("POST", "/changes", {})).rejects.toMatchObject({
      code: "controller-unreachable",
      message: "musterd was there, and went away before it had answered",
      fix: expect.stringContaining("before you repeat a change") as string,
    });
  } finally {
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  }
});
