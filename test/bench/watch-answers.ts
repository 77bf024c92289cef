import { setTimeout as sleep } from "node:timers/promises";

import { Client } from "undici";

const BETWEEN_MS = 5;

/** Somebody else who asks musterd something small, again and again, until disposed of. */
export interface AnswerWatch extends AsyncDisposable {
  /** The longest that an answer took so far, one that is still waited for included. */
  longestMs(): number;
}

/** How long others wait for musterd: what its event loop does for one request, all others wait for. */
export function watchAnswers(socketPath: string): AnswerWatch {
  const client = new Client("http://musterd", { socketPath });
  const over = new AbortController();
  let longest = 0;
  let askedAt = performance.now();
  const watching = (async () => {
    while (!over.signal.aborted) {
      askedAt = performance.now();
      const { body } = await client.request({ method: "GET", path: "/api/v1/node-sets?names=c1" });
      await body.dump();
      longest = Math.max(longest, performance.now() - askedAt);
      await sleep(BETWEEN_MS);
    }
  })();
  return {
    longestMs: () => Math.max(longest, performance.now() - askedAt),
    [Symbol.asyncDispose]: async () => {
      over.abort();
      await watching;
      await client.close();
    },
  };
}
