import { describe, expect, it } from "vitest";

import { type Digest, digestOfHex } from "#proto/contract/digest.ts";
import { planFetchAnswer, planHelp } from "./plan-overlay-answer.ts";
import type { StoredContent } from "./read-overlay-snapshot.ts";

function digest(number: number): Digest {
  return digestOfHex(number.toString(16).padStart(64, "0"));
}

function held(sizeBytes: number): StoredContent {
  return { in: "memory", sizeBytes, bytes: Buffer.alloc(0) };
}

const KIB = 1024;

describe("planHelp", () => {
  const wanted = new Map<Digest, StoredContent>([
    [digest(1), held(100 * KIB)],
    [digest(2), { in: "blobs", sizeBytes: 10 }],
    [digest(3), held(200 * KIB)],
    [digest(4), held(100 * KIB)],
    [digest(5), { in: "file", sizeBytes: 1, path: "/x" }],
  ]);

  it("sends what the node lacks and is at hand, up to 256 KiB, and what fits beside what does not", () => {
    expect(planHelp(wanted, new Set())).toEqual([digest(1), digest(4)]);
    expect(planHelp(wanted, new Set([digest(1)]))).toEqual([digest(3)]);
  });

  it("guesses nothing about a node of which nothing is known", () => {
    expect(planHelp(wanted, undefined)).toEqual([]);
  });
});

describe("planFetchAnswer", () => {
  const mine = new Map<Digest, StoredContent>([
    [digest(1), held(600 * KIB)],
    [digest(2), held(600 * KIB)],
    [digest(3), { in: "blobs", sizeBytes: 10 * KIB * KIB }],
    [digest(4), { in: "file", sizeBytes: 2000 * KIB, path: "/x" }],
  ]);

  it("gives what fits into a message in the order asked, the node asks again for the rest", () => {
    expect(planFetchAnswer([digest(3), digest(1), digest(1), digest(2)], mine)).toEqual({
      send: [digest(1)],
      tickets: [digest(3)],
      missing: [],
    });
    expect(planFetchAnswer([digest(2)], mine).send).toEqual([digest(2)]);
  });

  it("gives one that is alone too large all the same: asking again would not make it smaller", () => {
    expect(planFetchAnswer([digest(4), digest(1)], mine).send).toEqual([digest(4)]);
  });

  it("gives nothing that the node's own manifest does not name, and cuts what is no digest", () => {
    const nonsense = "x".repeat(1000);
    expect(planFetchAnswer([digest(9), nonsense], mine)).toEqual({
      send: [],
      tickets: [],
      missing: [digest(9), "x".repeat(100)],
    });
  });
});
