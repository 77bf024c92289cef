import { expect, test } from "vitest";

import { renderLists } from "./send-lists.ts";

async function piecesOf(...given: Parameters<typeof renderLists>): Promise<readonly string[]> {
  const pieces: string[] = [];
  for await (const piece of renderLists(...given)) pieces.push(piece);
  return pieces;
}

test("lists and what is besides them are one object", async () => {
  expect(await piecesOf({ a: [], b: [{ x: 1 }, { x: 'a"b' }] }, { id: 7 })).toEqual([
    '{"id":7,"a":[],"b":[{"x":1},{"x":"a\\"b"}]}',
  ]);
  expect(await piecesOf({ a: [] }, {})).toEqual(['{"a":[]}']);
});

test("many items come in pieces that are the whole together", async () => {
  const nodes = Array.from({ length: 20_000 }, (_, at) => ({ name: `c${at}`, comment: "x".repeat(100) }));
  const pieces = await piecesOf({ nodes, profiles: [{ name: "p" }] }, {});
  expect(JSON.parse(pieces.join(""))).toEqual({ nodes, profiles: [{ name: "p" }] });
  expect(pieces.length).toBeGreaterThan(20);
  expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(70_000);
});
