import { Metadata, status } from "@grpc/grpc-js";

import { ERROR_MEANINGS, type ErrorCode, errorSentence, MusterError } from "../contract/muster-error.ts";

// The numbers behind grpc-js' enum: what arrives from the wire is a number and may be none of its members.
const STATUS: Readonly<Record<keyof typeof status, number>> = status;

const STATUSES: ReadonlyMap<number, status> = new Map(
  Object.values(status)
    .filter((value) => typeof value !== "string")
    .map((value) => [value, value]),
);

/** Carries the stable code of a MusterError; ASCII. */
const CODE_KEY = "muster-code";
/** Carries its `fix`; "-bin" so that any UTF-8 passes (gRPC over HTTP/2, "Custom-Metadata"). */
const FIX_KEY = "muster-fix-bin";
/** Trailers share one HTTP/2 header list (16 KiB in Node by default): a sentence fits, a log does not. */
const MAX_TEXT = 1500;

/** What gRPC handlers pass to a callback, emit as "error" or send as a status. */
export interface GrpcError extends Error {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/**
 * An error as gRPC status with code and fix beside it, so that the agent's console can show both.
 *
 * Anything that is no MusterError becomes INTERNAL and says nothing of itself: what a bug has in its message
 * is for the log, not for the wire. An error made by this function passes unchanged.
 */
export function grpcErrorFrom(error: unknown): GrpcError {
  if (isGrpcError(error)) return error;
  const known = error instanceof MusterError;
  const details = known ? errorSentence(error) : "the controller failed to handle this call";
  const fix = known
    ? error.fix
    : "look for the error at this time in the controller's log (journalctl -u musterd)";
  const code: ErrorCode = known ? error.code : "internal";
  const metadata = new Metadata();
  metadata.set(CODE_KEY, code);
  if (fix !== undefined) metadata.set(FIX_KEY, Buffer.from(clip(fix), "utf8"));
  return Object.assign(new Error(clip(details)), {
    code: statusOf(ERROR_MEANINGS[code].grpc),
    details: clip(details),
    metadata,
  });
}

/**
 * The MusterError behind a failed call. Errors that did not come from our own handlers - a broken connection,
 * a proxy, gRPC itself - get the code that tells the operator where to look; see {@link codeOfStatus}.
 */
export function musterErrorFromGrpc(error: unknown): MusterError {
  if (error instanceof MusterError) return error;
  if (!isStatusLike(error))
    return new MusterError({ code: "internal", what: errorSentence(error), cause: error });
  const sent = error.metadata?.get(CODE_KEY)[0];
  const fix = error.metadata?.get(FIX_KEY)[0];
  const ours =
    typeof sent === "string" && Object.hasOwn(ERROR_MEANINGS, sent) ? (sent as ErrorCode) : undefined;
  const details = error.details === "" ? `gRPC status ${error.code}` : error.details;
  return new MusterError({
    code: ours ?? codeOfStatus(error.code, details),
    what: details,
    ...(fix === undefined ? {} : { fix: fix.toString("utf8") }),
    ...(ours === undefined ? { cause: error } : {}),
  });
}

/**
 * The meaning of a status that carries no code of ours.
 *
 * INTERNAL, UNKNOWN, CANCELLED and ABORTED come from HTTP/2 when a connection breaks in the middle of a call:
 * our own internal errors always carry a code, so these are worth another try.
 */
function codeOfStatus(code: number, details: string): ErrorCode {
  switch (code) {
    case STATUS.DEADLINE_EXCEEDED:
      return "deadline-exceeded";
    case STATUS.INVALID_ARGUMENT:
    case STATUS.OUT_OF_RANGE:
      return "request-invalid";
    case STATUS.UNIMPLEMENTED:
      return "protocol-unsupported";
    case STATUS.UNAUTHENTICATED:
      return "certificate-refused";
    case STATUS.PERMISSION_DENIED:
      return "permission-denied";
    case STATUS.RESOURCE_EXHAUSTED:
    case STATUS.FAILED_PRECONDITION:
      return "controller-refused";
    case STATUS.DATA_LOSS:
      return "blob-corrupt";
    case STATUS.NOT_FOUND:
      return "blob-missing";
    default:
      return /certificate|self.signed|altname|hostname\/IP/i.test(details)
        ? "certificate-mismatch"
        : "controller-unreachable";
  }
}

/** grpc-js' own name for a status; proto/contract, which knows nothing of grpc-js, has its number. */
function statusOf(code: number): status {
  return STATUSES.get(code) ?? status.UNKNOWN;
}

interface StatusLike {
  readonly code: number;
  readonly details: string;
  readonly metadata?: Metadata;
}

function isStatusLike(error: unknown): error is StatusLike {
  return (
    typeof error === "object" &&
    error !== null &&
    "code" in error &&
    typeof error.code === "number" &&
    "details" in error &&
    typeof error.details === "string"
  );
}

function isGrpcError(error: unknown): error is GrpcError {
  return error instanceof Error && isStatusLike(error) && error.metadata instanceof Metadata;
}

/** grpc-js percent-encodes `details` with encodeURI, which throws on half a surrogate pair. */
function clip(text: string): string {
  return (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text).toWellFormed();
}
