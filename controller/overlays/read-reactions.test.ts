import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, it } from "vitest";

import { readReactions } from "./read-reactions.ts";

it("the commands of an overlay are each named once, and none when its settings are missing or wrong", async () => {
  const directory = await mkdtemp(join(tmpdir(), "muster-reactions-"));
  try {
    expect(await readReactions(directory)).toEqual([]);
    await writeFile(
      join(directory, "overlay.yaml"),
      "onChange:\n  /etc/a: reload\n  /etc/b: reload\n  /etc/c: restart\n",
    );
    expect(await readReactions(directory)).toEqual(["reload", "restart"]);
    await writeFile(join(directory, "overlay.yaml"), "onChange: [wrong]\n");
    expect(await readReactions(directory)).toEqual([]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
