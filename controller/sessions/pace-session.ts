import { BinaryReader } from "@bufbuild/protobuf/wire";

import { ConnectRequest } from "#proto/gen/muster/v1/session.ts";

/** Costs a session may still cause before it is slowed down, at most {@link PACE}.burst. */
export interface SessionPace {
  readonly level: number;
  /** When that was so. */
  readonly atMs: number;
}

/**
 * In units: a message is one, and each 4 KiB of it another. A node that starts with an overlay of thousands of files and
 * a hardware report of a megabyte stays far below the burst; one that sends as fast as it can costs less than a tenth
 * of one core.
 */
const PACE = { burst: 2000, perSecond: 100 } as const;
const UNIT_BYTES = 4096;

/** 200 log lines of 500 characters outside ASCII are 300 KB. A few bytes of a message can each become an object in memory. */
const MAX_MESSAGE_BYTES = 512 * 1024;
/** The one kind that may be longer, up to what the server takes: its report is bytes, and read under limits of its own. */
const HARDWARE_REPORT_TAG = (6 << 3) | 2;

const sizes = new WeakMap<ConnectRequest, number>();

/** Reads a message of a node. Throws for one that is too long for its kind, which ends the stream. */
export function decodeRequest(bytes: Buffer): ConnectRequest {
  if (bytes.length > MAX_MESSAGE_BYTES && !isHardwareReport(bytes)) {
    throw new Error(`a message of ${bytes.length} bytes`);
  }
  const request = ConnectRequest.decode(bytes);
  sizes.set(request, bytes.length);
  return request;
}

/** Whether a report is all there is: of several fields, the last would be the message. */
function isHardwareReport(bytes: Buffer): boolean {
  const reader = new BinaryReader(bytes);
  return reader.uint32() === HARDWARE_REPORT_TAG && reader.uint32() + reader.pos === bytes.length;
}

/** What a message costs, in units of {@link PACE}. */
export function costOf(request: ConnectRequest): number {
  return 1 + (sizes.get(request) ?? 0) / UNIT_BYTES;
}

/** The pace of a session that has just begun. */
export function fullPace(nowMs: number): SessionPace {
  return { level: PACE.burst, atMs: nowMs };
}

/** The pace after a message, and how long its session is not listened to before the next one. */
export function planPace(
  pace: SessionPace,
  cost: number,
  nowMs: number,
): { readonly pace: SessionPace; readonly waitMs: number } {
  const gained = (Math.max(0, nowMs - pace.atMs) / 1000) * PACE.perSecond;
  const level = Math.min(PACE.burst, pace.level + gained) - cost;
  return { pace: { level, atMs: nowMs }, waitMs: level >= 0 ? 0 : (-level / PACE.perSecond) * 1000 };
}
