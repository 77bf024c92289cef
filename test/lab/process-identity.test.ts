import { expect, test } from "vitest";

import { isGone, parseProcessIdentity, readOwnIdentity, readStartTime } from "./process-identity.ts";

const self = { pid: 7, startTime: "1000", bootId: "boot-a", pidNamespace: "pid:[1]" };

test.each([
  ["from before a reboot", { bootId: "boot-b" }, "500", true],
  ["in another container", { pidNamespace: "pid:[2]" }, undefined, false],
  ["alive", {}, "500", false],
  ["with no process under its pid", {}, undefined, true],
  ["whose pid was given to another", {}, "900", true],
])("an owner %s is gone or not", (_, change, startTimeNow, gone) => {
  const owner = { ...self, pid: 42, startTime: "500", ...change };
  expect(isGone(owner, self, startTimeNow)).toBe(gone);
});

test("this process recognises itself, and pid 0 is nobody", async () => {
  const own = await readOwnIdentity();
  expect(isGone(own, own, await readStartTime(process.pid))).toBe(false);
  expect(parseProcessIdentity(JSON.stringify({ ...own, name: "x" }))).toEqual(own);
  expect(await readStartTime(0)).toBe(undefined);
});

test.each(["", "{", "null", '{"pid":"7"}'])("%j is no owner file", (text) => {
  expect(parseProcessIdentity(text)).toBe(undefined);
});
