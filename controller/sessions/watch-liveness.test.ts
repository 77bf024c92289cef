import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";
import { type Liveness, watchLiveness } from "./watch-liveness.ts";

const C001 = parseNodeName("c001");

let liveness: Liveness;
let greetings: number;
beforeEach(() => {
  vi.useFakeTimers();
  liveness = watchLiveness(() => Date.now());
  greetings = 0;
});
afterEach(() => {
  vi.useRealTimers();
});

/** c001 has had a session for an hour. */
function longUp(): void {
  liveness.opened(C001, "boot-1", () => (greetings += 1));
  vi.advanceTimersByTime(3_600_000);
}

/** The answer, and after how many milliseconds it came; `meanwhile` happens two seconds after the question. */
async function ask(meanwhile: () => void = () => undefined): Promise<readonly [boolean, number]> {
  const askedMs = Date.now();
  const answer = liveness.isUp(C001).then((isUp) => [isUp, Date.now() - askedMs] as const);
  await vi.advanceTimersByTimeAsync(2000);
  meanwhile();
  await vi.advanceTimersByTimeAsync(20_000);
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
    longUp();
    liveness.heard(C001);
    vi.advanceTimersByTime(999);
    expect([await liveness.isUp(C001), greetings]).toEqual([true, 0]);
  });

  test("when it comes back in the same boot after somebody reset its connection", async () => {
    longUp();
    const answer = liveness.isUp(C001);
    liveness.closed(C001);
    await vi.advanceTimersByTimeAsync(3900);
    liveness.opened(C001, "boot-1", () => undefined);
    expect(await answer).toBe(true);
  });

  test("when its connection was reset before anybody asked, and it comes back", async () => {
    longUp();
    liveness.closed(C001);
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

  test("when it says nothing for 8 s; asked again it is not waited for until it speaks", async () => {
    longUp();
    expect([await ask(), await ask(), greetings]).toEqual([[false, 8000], [false, 0], 1]);
    liveness.heard(C001);
    expect(await ask()).toEqual([true, 0]);
  });

  test("when its session ends and it does not come back within 4 s", async () => {
    longUp();
    expect(
      await ask(() => {
        liveness.closed(C001);
      }),
    ).toEqual([false, 6000]);
    expect(await ask()).toEqual([false, 0]);
  });

  test("4 s after the end of its session, whenever that was", async () => {
    longUp();
    liveness.closed(C001);
    vi.advanceTimersByTime(3000);
    expect(await ask()).toEqual([false, 1000]);
    longUp();
    liveness.closed(C001);
    vi.advanceTimersByTime(4000);
    expect(await ask()).toEqual([false, 0]);
  });

  test("at once when its identity was made void", async () => {
    longUp();
    const answer = liveness.isUp(C001);
    liveness.closed(C001);
    liveness.barred(C001);
    expect([await answer, await ask()]).toEqual([false, [false, 0]]);
  });

  test("when it comes back in another boot", async () => {
    longUp();
    const answer = liveness.isUp(C001);
    liveness.closed(C001);
    liveness.opened(C001, "boot-2", () => undefined);
    expect(await answer).toBe(false);
  });
});
