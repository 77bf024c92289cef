import { afterEach, expect, test, vi } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";

import { makeTestHost } from "../testing/test-host.ts";
import { keepLease } from "./keep-lease.ts";
import { parseLease } from "./parse-lease.ts";
import { planLeaseRenewalMs } from "./plan-lease-renewal.ts";

const never = new AbortController().signal;
const NETWORK = {
  interface: "eth0",
  mac: parseMacAddress("52:54:00:00:00:01"),
  address: "10.77.0.100",
};
const RENEW = "busybox udhcpc -i eth0 -n -q -t 4 -T 3 -r 10.77.0.100 -s /etc/udhcpc.script";

afterEach(() => {
  vi.useRealTimers();
});

test.each([
  [600, false, 300_000],
  [600, true, 75_000],
  [1, false, 10_000],
  [undefined, false, 1_800_000],
  [4_294_967_295, false, 43_200_000],
])("a lease of %s s, failed before: %s, is renewed after %i ms", (lease, hasFailed, wait) => {
  expect(planLeaseRenewalMs(lease, hasFailed)).toBe(wait);
});

test("a lease time that is no number is none", () => {
  expect(parseLease("ip=10.0.0.1\nlease=soon\n").leaseSeconds).toBeUndefined();
  expect(parseLease("lease=120\n").leaseSeconds).toBe(120);
});

test("the lease is asked for again at half its time and sooner after a failure, and not once it is disposed", async () => {
  const asked: number[] = [];
  const environments: unknown[] = [];
  await using host = await makeTestHost(async ({ env }) => {
    asked.push(Date.now());
    environments.push(env?.["MUSTER_LEASE"]);
    return { exitCode: asked.length === 2 ? 1 : 0 };
  });
  await host.write("run/muster/lease.env", "ip=10.77.0.100\nlease=120\n");
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"], now: 0 });
  const nextAsk = async (count: number): Promise<void> => {
    // The file is read with real input and output, so time moves a second at a turn of the real clock.
    while (asked.length < count) {
      await new Promise(setImmediate);
      if (vi.getTimerCount() > 0) await vi.advanceTimersByTimeAsync(1000);
    }
  };
  const keeper = keepLease(host, NETWORK, never);
  await nextAsk(3);
  expect(asked).toEqual([60_000, 120_000, 135_000]);
  expect(environments).toEqual(["renew", "renew", "renew"]);
  keeper[Symbol.dispose]();
  expect(vi.getTimerCount()).toBe(0);
  expect(host.commands).toEqual([RENEW, RENEW, RENEW]);
  expect(host.lines).toEqual(["the lease of 10.77.0.100 could not be renewed; asking again"]);
});
