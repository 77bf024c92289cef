import { describe, expect, test } from "vitest";

import { ConnectRequest } from "#proto/gen/muster/v1/session.ts";
import { costOf, decodeRequest, fullPace, planPace } from "./pace-session.ts";

const encode = (message: ConnectRequest["message"]): Buffer =>
  Buffer.from(ConnectRequest.encode({ message }).finish());
const emptyLines = (count: number): Buffer =>
  encode({
    $case: "logLines",
    value: { lines: Array.from({ length: count }, () => ({ atMs: 0, source: "", text: "" })) },
  });
const report = (sizeBytes: number): Buffer =>
  encode({ $case: "hardwareReport", value: { digest: "d", report: Buffer.alloc(sizeBytes) } });

describe("a message", () => {
  test("of half a megabyte is read when it is a hardware report, and refused before it is read when not", () => {
    expect(decodeRequest(report(1024 * 1024)).message?.$case).toBe("hardwareReport");
    expect(() => decodeRequest(emptyLines(300_000))).toThrow("a message of 600004 bytes");
    const hidden = Buffer.concat([report(1), emptyLines(300_000)]);
    expect(() => decodeRequest(hidden)).toThrow(`a message of ${hidden.length} bytes`);
    expect(decodeRequest(emptyLines(200)).message?.$case).toBe("logLines");
  });

  test("costs by its number and its size", () => {
    expect(costOf(decodeRequest(encode({ $case: "heartbeat", value: { uptimeSeconds: 1 } })))).toBeCloseTo(
      1,
      2,
    );
    expect(costOf(decodeRequest(report(409_600)))).toBeCloseTo(101, 0);
  });
});

describe("a session", () => {
  test("is listened to at once until its burst is used up, then at its pace", () => {
    const after = planPace(fullPace(0), 2000, 0);
    expect(after).toEqual({ pace: { level: 0, atMs: 0 }, waitMs: 0 });
    expect(planPace(after.pace, 1, 0)).toEqual({ pace: { level: -1, atMs: 0 }, waitMs: 10 });
    expect(planPace(after.pace, 1, 10).waitMs).toBe(0);
  });

  test("that was quiet has its burst again, and no more than that", () => {
    expect(planPace({ level: -500, atMs: 0 }, 1, 3_600_000).pace.level).toBe(1999);
  });
});
