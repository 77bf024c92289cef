import { expect, test } from "vitest";

import { waitFor } from "./wait-for.ts";

test("the first answer that is one is returned", async () => {
  const answers = [undefined, false, undefined, 0] as const;
  let asked = 0;
  const waiting = { what: "an answer", deadlineMs: 5_000, intervalMs: 1 };
  expect(await waitFor(() => answers[asked++], waiting)).toBe(0);
  expect(asked).toBe(4);
});

test("a deadline that passes says what was waited for and what was there instead", async () => {
  const waiting = { what: "rain", deadlineMs: 20, intervalMs: 5, instead: () => "sunshine" };
  await expect(waitFor(() => false, waiting)).rejects.toMatchObject({
    code: "deadline-exceeded",
    message: "waited 0.02 s for rain; instead:\nsunshine",
  });
});

test("an error of the condition ends the waiting at once", async () => {
  const failing = (): never => {
    throw new Error("broken");
  };
  await expect(waitFor(failing, { what: "x", deadlineMs: 60_000 })).rejects.toThrow("broken");
});

test("waiting can be called off", async () => {
  const calledOff = new AbortController();
  const waiting = waitFor(() => false, { what: "x", deadlineMs: 60_000, signal: calledOff.signal });
  calledOff.abort(new Error("called off"));
  await expect(waiting).rejects.toThrow();
});
