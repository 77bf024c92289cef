/** A server that does not say how long a lease lasts gives an hour, like most. */
const DEFAULT_LEASE_SECONDS = 3600;
/** A lease of seconds is a mistake of the server's, and asking more often than this would not help. */
const SOONEST_MS = 10_000;
/** Node's timers end at 24.8 days; a lease for ever is looked at twice a day. */
const LATEST_MS = 12 * 3600_000;

/**
 * The wait until a lease is renewed: half of it (T1 of RFC 2131 section 4.4.5), and after a renewal that failed an
 * eighth, so that there are four more tries before the address is lost.
 */
export function planLeaseRenewalMs(leaseSeconds: number | undefined, hasFailed: boolean): number {
  const leaseMs = (leaseSeconds ?? DEFAULT_LEASE_SECONDS) * 1000;
  return Math.min(LATEST_MS, Math.max(SOONEST_MS, Math.round(leaseMs / (hasFailed ? 8 : 2))));
}
