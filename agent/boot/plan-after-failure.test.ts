import { expect, test } from "vitest";

import { type AfterFailure, type FailureFacts, planAfterFailure } from "./plan-after-failure.ts";

const usual: FailureFacts = {
  step: "fetch",
  code: "fetch-gave-up",
  failedBefore: 0,
  remainingMs: 100_000,
  rebootAfterSeconds: 30,
  random: 0,
};

const rows: readonly (readonly [string, Partial<FailureFacts>, AfterFailure])[] = [
  [
    "a kernel of another image restarts at once",
    { step: "plan", code: "kernel-mismatch" },
    { kind: "reboot", afterSeconds: 0 },
  ],
  [
    "a kernel of another image restarts even for an operator who wants a shell",
    { step: "plan", code: "kernel-mismatch", rebootAfterSeconds: 0 },
    { kind: "reboot", afterSeconds: 0 },
  ],
  [
    "a used token restarts for a fresh one",
    { step: "enrol", code: "token-refused" },
    { kind: "reboot", afterSeconds: 30 },
  ],
  ["a corrupt blob restarts", { code: "blob-corrupt" }, { kind: "reboot", afterSeconds: 30 }],
  ["no memory restarts", { code: "memory-insufficient" }, { kind: "reboot", afterSeconds: 30 }],
  [
    "an expired ticket gets a new plan",
    { code: "ticket-refused" },
    { kind: "retry", from: "plan", delayMs: 500 },
  ],
  [
    "a ticket that is refused again and again restarts",
    { code: "ticket-refused", failedBefore: 2 },
    { kind: "reboot", afterSeconds: 30 },
  ],
  [
    "a blob another part of the controller refuses gets a new plan as well",
    { code: "permission-denied" },
    { kind: "retry", from: "plan", delayMs: 500 },
  ],
  [
    "a refused plan restarts",
    { step: "plan", code: "permission-denied" },
    { kind: "reboot", afterSeconds: 30 },
  ],
  [
    "a controller out of reach is looked for again from the network on",
    { step: "connect", code: "controller-unreachable", failedBefore: 3 },
    { kind: "retry", from: "network", delayMs: 4000 },
  ],
  [
    "another certificate restarts: the boot script may be old",
    { step: "connect", code: "certificate-mismatch" },
    { kind: "reboot", afterSeconds: 30 },
  ],
  [
    "no link is tried again",
    { step: "network", code: "no-link" },
    { kind: "retry", from: "network", delayMs: 500 },
  ],
  [
    "a full list of pending machines is tried again",
    { step: "enrol", code: "too-many-pending" },
    { kind: "retry", from: "enrol", delayMs: 500 },
  ],
  ["out of time, it restarts", { remainingMs: 400 }, { kind: "reboot", afterSeconds: 30 }],
  [
    "out of time, it stays for an operator who asked",
    { remainingMs: -1, rebootAfterSeconds: 0 },
    { kind: "shell" },
  ],
  ["a bug restarts", { step: "mount", code: "internal" }, { kind: "reboot", afterSeconds: 30 }],
];

test.each(rows)("%s", (_title, facts, expected) => {
  expect(planAfterFailure({ ...usual, ...facts })).toEqual(expected);
});
