import type { MusterError } from "#proto/contract/muster-error.ts";

/** What a broken fetch from one address means for the blob. */
export type FetchAnswer =
  /** The connection, not the blob: the next address goes on at the same offset. */
  | "broken"
  /** This controller cannot give it; another may. When all say so, the fetch fails. */
  | "not-here"
  /** No controller will: the ticket is refused. */
  | "refused";

/**
 * | code                                                   | answer   |
 * |--------------------------------------------------------|----------|
 * | blob-missing, blob-corrupt, request-invalid            | not-here |
 * | ticket-refused, permission-denied, certificate-refused | refused  |
 * | anything else (connection, restart, deadline, ...)     | broken   |
 */
export function planFetchAnswer(error: MusterError): FetchAnswer {
  switch (error.code) {
    case "blob-missing":
    case "blob-corrupt":
    case "request-invalid":
      return "not-here";
    case "ticket-refused":
    case "permission-denied":
    case "certificate-refused":
      return "refused";
    default:
      return "broken";
  }
}
