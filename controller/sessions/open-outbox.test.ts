import { expect, it } from "vitest";

import { openOutbox } from "./open-outbox.ts";

const RENEWED = { $case: "renewedCertificate", value: { certificate: Buffer.alloc(0) } } as const;

it("is drained when all that was sent is taken, and again after more", async () => {
  const taken: (() => void)[] = [];
  const outbox = openOutbox((_response, done) => void taken.push(done));
  await outbox.drained();
  outbox.send(RENEWED);
  outbox.send(RENEWED);
  const order: string[] = [];
  const drained = outbox.drained().then(() => order.push("drained"));
  taken.shift()?.();
  await Promise.resolve();
  order.push("one taken");
  taken.shift()?.();
  await drained;
  expect(order).toEqual(["one taken", "drained"]);
  await outbox.drained();
});

it("keeps nobody waiting for a stream that ended, and sends nothing on it", async () => {
  const sent: unknown[] = [];
  const outbox = openOutbox((response) => void sent.push(response));
  outbox.send(RENEWED);
  const drained = outbox.drained();
  outbox.close();
  await drained;
  outbox.send(RENEWED);
  await outbox.drained();
  expect(sent).toEqual([{ message: RENEWED }]);
});
