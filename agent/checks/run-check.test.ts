import { expect, test } from "vitest";

import { type CheckHost, runCheck } from "./run-check.ts";

const { signal } = new AbortController();
const host: CheckHost = {
  now: () => 5_000,
  root: "/",
  verifyOverlay: async () => ["/etc/motd: content"],
  compareHardware: async () => [],
};

test("without a name all checks are run, in order", async () => {
  const lines = await runCheck(host, { name: "", controllerTimeMs: 4_000 }, signal);
  expect(lines.map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual([
    "failed overlay:",
    "ok hardware:",
    "ok clock:",
    expect.stringMatching(/ root:$/),
  ]);
});

test("one check is run by its name", async () => {
  expect(await runCheck(host, { name: "clock", controllerTimeMs: 10_000 }, signal)).toEqual([
    "failed clock: 5.0 s behind the controller's",
  ]);
});

test("a check that cannot be made has failed, and the others are made all the same", async () => {
  const broken = {
    ...host,
    root: "/nonexistent",
    verifyOverlay: () => Promise.reject(new Error("no manifest")),
  };
  const lines = await runCheck(broken, { name: "", controllerTimeMs: 5_000 }, signal);
  expect(lines).toEqual([
    "failed overlay: cannot be checked: no manifest",
    "ok hardware: as it should be",
    "ok clock: within 2 s of the controller's",
    "failed root: cannot be checked: ENOENT: no such file or directory, statfs '/nonexistent'",
  ]);
});

test("a check nobody knows is refused", async () => {
  await expect(runCheck(host, { name: "weather", controllerTimeMs: 0 }, signal)).rejects.toMatchObject({
    code: "argument-invalid",
    fix: "one of: overlay, hardware, clock, root",
  });
});
