/** A token bucket: `perSecond` on average, `burst` at once. */
export interface RateLimit {
  readonly perSecond: number;
  readonly burst: number;
}

/** Says whether a request from an address is within its limits; the time is in milliseconds on any steady clock. */
export type RateLimiter = (address: string, nowMs: number) => boolean;

interface Bucket {
  level: number;
  atMs: number;
}

/** Addresses remembered; beyond, the one unused for longest is forgotten. A /16 of machines fits twice. */
const MAX_ADDRESSES = 131_072;

/**
 * Limits requests per address and, when asked for, over all addresses. What an address is refused is not charged to the
 * others, so that one flooding machine cannot keep the rack from enrolling.
 */
export function makeRateLimiter(perAddress: RateLimit, overall?: RateLimit): RateLimiter {
  const buckets = new Map<string, Bucket>();
  const all: Bucket = { level: overall?.burst ?? 0, atMs: 0 };
  return (address, nowMs) => {
    const bucket = buckets.get(address) ?? { level: perAddress.burst, atMs: nowMs };
    // Re-inserting keeps the map in order of last use.
    buckets.delete(address);
    buckets.set(address, bucket);
    if (buckets.size > MAX_ADDRESSES) {
      for (const oldest of buckets.keys()) {
        buckets.delete(oldest);
        break;
      }
    }
    return take(bucket, perAddress, nowMs) && (overall === undefined || take(all, overall, nowMs));
  };
}

function take(bucket: Bucket, limit: RateLimit, nowMs: number): boolean {
  const elapsed = Math.max(0, nowMs - bucket.atMs);
  bucket.level = Math.min(limit.burst, bucket.level + (elapsed / 1000) * limit.perSecond);
  bucket.atMs = nowMs;
  if (bucket.level < 1) return false;
  bucket.level -= 1;
  return true;
}
