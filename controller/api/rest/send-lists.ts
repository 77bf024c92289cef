import { Readable } from "node:stream";

import type { FastifyReply } from "fastify";

import { takeTurns } from "../../inventory/take-turns.ts";

/** What goes into one write. */
const PIECE_CHARS = 64 * 1024;

/**
 * Answers `{"NAME": [...], ...}` in pieces: 10,000 nodes at once would keep everybody else waiting for 100 ms and more, and be in
 * memory three times. Items are asked for when their turn comes. What a handler is to return; the response schema is not looked at.
 */
export function sendLists(
  reply: FastifyReply,
  lists: Readonly<Record<string, Iterable<object>>>,
  besides: object = {},
): never {
  return reply
    .type("application/json; charset=utf-8")
    .send(Readable.from(renderLists(lists, besides))) as never;
}

/** Each as the API shows it, when it is asked for. */
export function* presentEach<T>(items: Iterable<T>, present: (item: T) => object): Generator<object> {
  for (const item of items) yield present(item);
}

/** The text, in pieces. */
export async function* renderLists(
  lists: Readonly<Record<string, Iterable<object>>>,
  besides: object,
): AsyncGenerator<string> {
  const pause = takeTurns();
  let text = JSON.stringify(besides).slice(0, -1);
  let comma = text === "{" ? "" : ",";
  for (const [name, items] of Object.entries(lists)) {
    text += `${comma}${JSON.stringify(name)}:[`;
    comma = "";
    for (const item of items) {
      text += comma + JSON.stringify(item);
      comma = ",";
      if (text.length < PIECE_CHARS) continue;
      yield text;
      text = "";
      await pause();
    }
    text += "]";
    comma = ",";
  }
  yield `${text}}`;
}
