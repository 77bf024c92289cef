import { describe, expect, it } from "vitest";

import { foldNodeSet, parseNodeSet } from "#proto/contract/node-set.ts";
import { evaluateNodeSet } from "#proto/contract/node-set/evaluate-node-set.ts";
import { parseNodeExpression } from "#proto/contract/node-set/parse-node-expression.ts";

import { askClusterShell, type ClusterShellAnswer } from "../fixtures/ask-clustershell.ts";
import { openRandom, type Random } from "../fixtures/open-random.ts";

const CASES = 4000;
const SEED = 20261120;

/** Text, what it is here, what it is there. docs/node-sets.md names them. */
const DIFFERENCES: readonly (readonly [text: string, ours: string, theirs: string])[] = [
  // As Slurm has it: the first number sets the width, and the range may outgrow it.
  ["c[08-101/31]", "c[08,39,70,101]", 'error: bad range: "padding length mismatch : "08-101/31""'],
  // As Slurm has it: brackets may touch.
  ["r[1-2][3-4]", "r[13-14,23-24]", 'error: illegal reopening bracket: "[3-4]"'],
  // Parentheses group; there they are part of a name: (c[1-4] and c[2-9]) have nothing in common.
  ["c1,(c[1-4]&c[2-9])", "c[1-4]", ""],
  // Blanks between names are a union, as on the command line of nodeset(1); in its library they are part of a name.
  ["c1 c2", "c[1-2]", "c1 c2"],
  // See joinTornRanges below.
  ["c08,c[98-100]", "c[08,98-100]", "c[08,98-99,100]"],
  // Natural order of the names; there the number of those that an item stands for comes first.
  ["r1n2,r2n[1-2]", "r1n2,r2n[1-2]", "r2n[1-2],r1n2"],
];

// ClusterShell takes seconds for all of them, and more where other tests have the processor.
describe("against ClusterShell", { timeout: 120_000 }, () => {
  it("folds the same where names have one number", async () => {
    const random = openRandom(SEED);
    const sets = Array.from({ length: CASES }, () => randomNames(random, 1));
    const answers = await askClusterShell(sets.map((names) => ({ names })));
    const differing = sets.flatMap((names, at) => {
      const theirs = foldedOf(answers[at]);
      const ours = foldNodeSet(names);
      return sortedItems(ours) === sortedItems(theirs) ? [] : [{ ours, theirs }];
    });
    expect(
      differing.filter(({ ours, theirs }) => sortedItems(ours) !== sortedItems(joinTornRanges(theirs))),
    ).toEqual([]);
    expect(differing.length).toBeLessThan(CASES / 20);
  });

  it("folds several numbers to the same names, and takes no more items on the whole", async () => {
    const random = openRandom(SEED + 1);
    const sets = Array.from({ length: CASES / 8 }, () => randomNames(random, 2 + random(2)));
    const answers = await askClusterShell(sets.map((names) => ({ text: foldNodeSet(names) })));
    const unlike = sets.filter((names, at) => !isSameSet(namesOf(answers[at]), names));
    expect(unlike).toEqual([]);
    const folded = await askClusterShell(sets.map((names) => ({ names })));
    const ours = sets.reduce((sum, names) => sum + itemsOf(foldNodeSet(names)).length, 0);
    const theirs = folded.reduce((sum, answer) => sum + itemsOf(foldedOf(answer)).length, 0);
    expect(ours / theirs).toBeLessThan(1.01);
  });

  it("expands the same expressions to the same names", async () => {
    const random = openRandom(SEED + 2);
    const texts = Array.from({ length: CASES }, () => randomExpression(random));
    const answers = await askClusterShell(texts.map((text) => ({ text })));
    const unlike = texts.flatMap((text, at) => {
      const theirs = namesOf(answers[at]);
      const ours = evaluateNodeSet(parseNodeExpression(text), () => []);
      return isSameSet(theirs, ours) ? [] : [{ text, ours, theirs }];
    });
    expect(unlike).toEqual([]);
  });

  it("differs in these, and in nothing else that is known", async () => {
    const answers = await askClusterShell(DIFFERENCES.map(([text]) => ({ text })));
    const found = DIFFERENCES.map(([text], at) => [
      text,
      foldNodeSet(parseNodeSet(text)),
      foldedOf(answers[at]),
    ]);
    expect(found).toEqual(DIFFERENCES);
  });
});

const PREFIXES = ["c", "gpu-", "r1n", "x"] as const;

const NUMBERS = [
  [0, 12],
  [0, 120],
  [0, 1200],
  [90, 20],
] as const;

/** Names that ClusterShell folds: 1 to 60, with so many numbers each, some padded, widths mixed. */
function randomNames(random: Random, numbers: number): readonly string[] {
  const count = 1 + random(60);
  // The last: around the number at which the width grows.
  const [from, limit] = NUMBERS[random(NUMBERS.length)] ?? [0, 12];
  const widths = random(3) === 0 ? 3 : 1;
  const suffix = random(4) === 0 ? "-ib" : "";
  const names = Array.from({ length: count }, () => {
    const digits = Array.from({ length: numbers }, () =>
      String(from + random(limit)).padStart(1 + random(widths) + (random(20) === 0 ? 2 : 0), "0"),
    );
    const prefix = PREFIXES[random(random(3) === 0 ? PREFIXES.length : 1)] ?? "c";
    return `${prefix}${digits.join("n")}${suffix}`;
  });
  return [...new Set(names)];
}

function randomExpression(random: Random): string {
  const count = 1 + random(5);
  return Array.from({ length: count }, (_, at) => {
    const operator = at === 0 ? "" : ([",", "!", "&", "^", " ! ", ", "][random(6)] ?? ",");
    return operator + randomPattern(random);
  }).join("");
}

function randomPattern(random: Random): string {
  if (random(8) === 0) return ["login", "head-1", "c5", "c007"][random(4)] ?? "login";
  const first = `c${randomBracket(random)}`;
  return random(3) === 0 ? `${first}n${randomBracket(random)}${random(2) === 0 ? "s" : ""}` : first;
}

function randomBracket(random: Random): string {
  const ranges = Array.from({ length: 1 + random(3) }, () => {
    const from = random(30);
    const to = from + random(20);
    const width = random(3) === 0 ? 3 : 1;
    const digits = [from, to].map((number) => String(number).padStart(width, "0"));
    if (from === to) return digits[0] ?? "";
    return `${digits.join("-")}${random(4) === 0 ? `/${1 + random(4)}` : ""}`;
  });
  return `[${ranges.join(",")}]`;
}

function itemsOf(folded: string): readonly string[] {
  return folded.match(/(?:[^,[]|\[[^\]]*\])+/g) ?? [];
}

function sortedItems(folded: string): string {
  return itemsOf(folded).toSorted().join(",");
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.toSorted().join() === b.toSorted().join();
}

function foldedOf(answer: ClusterShellAnswer | undefined): string {
  return answer?.error === undefined ? (answer?.folded ?? "") : `error: ${answer.error}`;
}

function namesOf(answer: ClusterShellAnswer | undefined): readonly string[] {
  return answer?.error === undefined ? (answer?.names ?? []) : [`error: ${answer.error}`];
}

/**
 * The one difference in folding. After a padded number that stands alone, ClusterShell 1.9 takes the next range for padded
 * too, and ends it where the width grows: c08, c98, c99, c100 are c[08,98-99,100] there, and c[08,98-100] here.
 */
function joinTornRanges(folded: string): string {
  return folded.replaceAll(
    /(?<=[[,])(?:(\d+)-)?(9+),(10+)(?:-(\d+))?(?=[\],])/g,
    (torn, first: string | undefined, nines: string, tens: string, last: string | undefined) =>
      tens.length === nines.length + 1 ? `${first ?? nines}-${last ?? tens}` : torn,
  );
}
