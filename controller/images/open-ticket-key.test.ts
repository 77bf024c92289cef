import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { openTicketKey } from "./open-ticket-key.ts";

test("the key is made once, kept for root's eyes, and made anew only when the file is no key", async () => {
  const directory = await mkdtemp(join(tmpdir(), "muster-key-"));
  const path = join(directory, "ticket.key");
  const first = await openTicketKey(path);
  expect((await openTicketKey(path)).equals(first)).toBe(true);
  expect({ length: first.length, mode: (await stat(path)).mode & 0o777 }).toEqual({
    length: 32,
    mode: 0o600,
  });
  await writeFile(path, "");
  expect((await openTicketKey(path)).length).toBe(32);
  await expect(openTicketKey(directory)).rejects.toThrow("EISDIR");
  await rm(directory, { recursive: true });
});
