import { expect, test } from "vitest";

import { limitNodeEvents } from "./limit-node-events.ts";

function open() {
  const clock = { ms: 0 };
  const kept: string[] = [];
  const limited = limitNodeEvents(
    { recordEvent: ({ kind, node }) => kept.push(node === undefined ? kind : `${node} ${kind}`) },
    () => new Date(clock.ms),
  );
  const say = (node: string | undefined, kind = "overlay-failed"): void => {
    limited.recordEvent({ severity: "error", kind, what: "w", ...(node === undefined ? {} : { node }) });
  };
  return { clock, kept, say };
}

test("a node that causes events in a loop leaves a burst of them, and word that there were more", () => {
  const { kept, say } = open();
  for (let count = 0; count < 1000; count += 1) say("c001");
  expect(kept).toEqual([...Array<string>(60).fill("c001 overlay-failed"), "c001 events-limited"]);
});

test("what others cause, and what no node caused, is kept all the same", () => {
  const { kept, say } = open();
  for (let count = 0; count < 100; count += 1) say("c001");
  const before = kept.length;
  say("c002");
  say(undefined, "dnsmasq-exited");
  expect(kept.slice(before)).toEqual(["c002 overlay-failed", "dnsmasq-exited"]);
});

test("after a quiet minute it is heard again, and told of again", () => {
  const { clock, kept, say } = open();
  for (let count = 0; count < 100; count += 1) say("c001");
  const before = kept.length;
  clock.ms += 60_000;
  for (let count = 0; count < 10; count += 1) say("c001");
  expect(kept.slice(before)).toEqual(["c001 overlay-failed", "c001 events-limited"]);
});
