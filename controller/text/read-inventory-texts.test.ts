import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { MusterError } from "#proto/contract/muster-error.ts";

import { readInventoryTexts } from "./read-inventory-texts.ts";
import { renderTextFindings } from "./text-finding.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-texts-"));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const input = (text = ""): AsyncIterable<Uint8Array> => Readable.from([Buffer.from(text)]);
const refusal = async (path: string): Promise<string> => {
  const error: unknown = await readInventoryTexts(path, { input: input() }).catch(
    (caught: unknown) => caught,
  );
  return error instanceof MusterError ? error.message.replaceAll(directory, "DIR") : "";
};

describe("texts", () => {
  it("come from standard input, which need not end: it is read to the limit", async () => {
    const [text] = await readInventoryTexts("-", { input: input("nodes: {c001: {}}\n") });
    expect(text).toMatchObject({ file: "-", findings: [], records: [{ name: "c001" }] });
    let chunks = 0;
    const endless: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          chunks += 1;
          return { done: false, value: new Uint8Array(1024 * 1024).fill(0x61) };
        },
      }),
    };
    const [large] = await readInventoryTexts("-", { input: endless });
    expect(renderTextFindings(large?.findings ?? [])).toEqual([
      "-:1:1: has 33 MiB, and nothing above 32 MiB is read; an inventory of 50,000 nodes is smaller; cut it into several files if it is one",
    ]);
    expect(chunks).toBe(33);
  });

  it("come from a device or a pipe, to the limit as well", async () => {
    const [large] = await readInventoryTexts("/dev/zero", { input: input() });
    expect(renderTextFindings(large?.findings ?? [])).toEqual([
      expect.stringMatching(/^\/dev\/zero:1:1: has 32 MiB/),
    ]);
  });

  it("come from a directory: each file is a record, and everything wrong in all of them is found", async () => {
    await mkdir(join(directory, "nodes"));
    await mkdir(join(directory, "profiles"));
    await writeFile(join(directory, "nodes/c001.yaml"), "image: debian12\n");
    await writeFile(join(directory, "nodes/.c001.yaml.swp"), "\0");
    await writeFile(join(directory, "nodes/README"), "how this is made\n");
    await writeFile(join(directory, "nodes/bad name.yaml"), "{}\n");
    await writeFile(join(directory, "profiles/gpu.yaml"), "discoverable: true\n");
    await writeFile(join(directory, "profiles/empty.yaml"), "");
    const seen: string[] = [];
    const texts = await readInventoryTexts(directory, {
      input: input(),
      progress: (done, all) => seen.push(`${done}/${all}`),
    });
    expect(texts.flatMap(({ records }) => records).map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      "profile gpu",
      "node bad name",
      "node c001",
    ]);
    expect(
      renderTextFindings(texts.flatMap(({ findings }) => findings)).map((line) =>
        line.replaceAll(directory, "DIR"),
      ),
    ).toEqual([
      "DIR/profiles/empty.yaml:1:1: is empty; write {} for a record without fields",
      expect.stringMatching(/^DIR\/profiles\/gpu\.yaml:1:15: discoverable: only nodes have it/),
      expect.stringMatching(/^DIR\/nodes\/bad name\.yaml:1:1: .*node name/),
    ]);
    expect(seen).toEqual(["2/4", "4/4"].slice(-1));
  });

  it("have to be there", async () => {
    expect(await refusal(join(directory, "none"))).toBe("there is no DIR/none");
    expect(await refusal(directory)).toBe("DIR has neither nodes/ nor profiles/ in it");
    expect(await refusal("/dev/null/x")).toBe("cannot read /dev/null/x");
  });
});
