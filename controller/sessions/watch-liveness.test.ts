import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";
import { type Liveness, watchLiveness } from "./watch-liveness.ts";

const C001 = parseNodeName("c001");

let liveness: Liveness;
let greetings: number;
beforeEach(() => {
  vi.useFakeTimers();
  liveness = watchLiveness(30_000, () => Date.now());
  greetings = 0;
});
afterEach(() => {
  vi.useRealTimers();
});

/** c001 has had a session for an hour, and spoke so many milliseconds ago. */
function longUp(agoMs = 10_000): void {
  liveness.opened(C001, "boot-1", () => (greetings += 1));
  vi.advanceTimersByTime(3_600_000);
  liveness.heard(C001);
  vi.advanceTimersByTime(agoMs);
}

/** The answer, and after how many milliseconds it came; `meanwhile` happens two seconds after the question. */
async function ask(meanwhile: () => void = () => undefined): Promise<readonly [boolean, number]> {
  const askedMs = Date.now();
  const answer = liveness.isUp(C001).then((isUp) => [isUp, Date.now() - askedMs] as const);
  await vi.advanceTimersByTimeAsync(2000);
  meanwhile();
  await vi.advanceTimersByTimeAsync(60_000);
  return answer;
}

describe("a node is up", () => {
  test("when it answers a greeting, however many ask", async () => {
    longUp();
    const other = liveness.isUp(C001);
    expect(
      await ask(() => {
        liveness.heard(C001);
      }),
    ).toEqual([true, 2000]);
    expect([await other, greetings]).toEqual([true, 1]);
  });

  test("without being asked when it spoke within the last second", async () => {
    longUp(999);
    expect([await liveness.isUp(C001), greetings]).toEqual([true, 0]);
  });

  test("when somebody takes its frames, and it finds out at its next heartbeat", async () => {
    longUp(1000);
    const answer = liveness.isUp(C001);
    liveness.closed(C001, false);
    await vi.advanceTimersByTimeAsync(30_000 + 2000 - 1000);
    liveness.opened(C001, "boot-1", () => undefined);
    expect(await answer).toBe(true);
  });

  test("when its connection was reset before anybody asked, and it comes back", async () => {
    longUp();
    liveness.closed(C001, false);
    vi.advanceTimersByTime(10_000);
    expect(
      await ask(() => {
        liveness.opened(C001, "boot-1", () => undefined);
      }),
    ).toEqual([true, 2000]);
  });

  test("when its agent was restarted", async () => {
    longUp();
    liveness.closed(C001, true);
    expect(
      await ask(() => {
        liveness.opened(C001, "boot-1", () => undefined);
      }),
    ).toEqual([true, 2000]);
  });
});

describe("a node is not up", () => {
  test("without a session", async () => {
    expect(await ask()).toEqual([false, 0]);
  });

  test("when its heartbeat is overdue; asked again it is not waited for until it speaks", async () => {
    longUp(10_000);
    expect([await ask(), await ask(), greetings]).toEqual([[false, 25_000], [false, 0], 1]);
    liveness.heard(C001);
    expect(await ask()).toEqual([true, 0]);
  });

  test("when its heartbeat was overdue already and it does not answer in 8 s", async () => {
    longUp(34_000);
    expect([await ask(), greetings]).toEqual([[false, 8000], 1]);
  });

  test("when its session broke and it does not come back by its next heartbeat", async () => {
    longUp(20_000);
    expect(
      await ask(() => {
        liveness.closed(C001, false);
      }),
    ).toEqual([false, 15_000]);
    expect(await ask()).toEqual([false, 0]);
  });

  test("at once when it was switched off a while ago, as a server that restarts was", async () => {
    longUp(20_000);
    liveness.closed(C001, false);
    vi.advanceTimersByTime(15_000);
    expect(await ask()).toEqual([false, 0]);
  });

  test("when it said goodbye, 5 s after it did", async () => {
    longUp(1000);
    liveness.closed(C001, true);
    vi.advanceTimersByTime(3000);
    expect(await ask()).toEqual([false, 2000]);
    longUp(1000);
    liveness.closed(C001, true);
    vi.advanceTimersByTime(5000);
    expect(await ask()).toEqual([false, 0]);
  });

  test("at once when its identity was made void", async () => {
    longUp();
    const answer = liveness.isUp(C001);
    liveness.closed(C001, false);
    liveness.barred(C001);
    expect([await answer, await ask()]).toEqual([false, [false, 0]]);
  });

  test("when it comes back in another boot", async () => {
    longUp();
    const answer = liveness.isUp(C001);
    liveness.closed(C001, false);
    liveness.opened(C001, "boot-2", () => undefined);
    expect(await answer).toBe(false);
  });
});
