/**
 * One row of the table that gives each error code its meaning on every border.
 * `http`: status of the REST API. `grpc`: numeric gRPC status (grpc/status codes of the gRPC specification).
 * `exit`: exit status of a command line. `retryable`: trying the same again later can succeed.
 */
interface ErrorMeaning {
  readonly http: number;
  readonly grpc: number;
  readonly exit: number;
  readonly retryable: boolean;
}

const INVALID = { http: 400, grpc: 3, exit: 2, retryable: false } as const;
const NOT_FOUND = { http: 404, grpc: 5, exit: 4, retryable: false } as const;
const CONFLICT = { http: 409, grpc: 6, exit: 5, retryable: false } as const;
const DENIED = { http: 403, grpc: 7, exit: 6, retryable: false } as const;
const UNAUTHENTICATED = { http: 401, grpc: 16, exit: 6, retryable: false } as const;
const PRECONDITION = { http: 412, grpc: 9, exit: 3, retryable: false } as const;
const EXHAUSTED = { http: 429, grpc: 8, exit: 7, retryable: true } as const;
const UNAVAILABLE = { http: 503, grpc: 14, exit: 7, retryable: true } as const;
const DATA_LOSS = { http: 500, grpc: 15, exit: 8, retryable: false } as const;

/** Every failure an operator can act on, by stable code. Codes are API: they are added, never renamed. */
export const ERROR_MEANINGS = {
  // input
  "argument-invalid": INVALID,
  "config-invalid": INVALID,
  "config-unreadable": PRECONDITION,
  "name-invalid": INVALID,
  "node-set-invalid": INVALID,
  "request-invalid": INVALID,
  "not-found": NOT_FOUND,
  // inventory
  "node-unknown": NOT_FOUND,
  "node-exists": CONFLICT,
  "token-exists": CONFLICT,
  "mac-in-use": CONFLICT,
  "address-in-use": CONFLICT,
  "revision-stale": CONFLICT,
  "profile-unknown": NOT_FOUND,
  "profile-exists": CONFLICT,
  "profile-in-use": CONFLICT,
  "profile-cycle": INVALID,
  "change-unknown": NOT_FOUND,
  "undo-conflict": CONFLICT,
  "image-unknown": NOT_FOUND,
  "image-in-use": CONFLICT,
  "machine-not-pending": NOT_FOUND,
  "directory-unusable": PRECONDITION,
  "database-unusable": PRECONDITION,
  "database-newer": PRECONDITION,
  // images, blobs, initramfs
  "image-kernel-missing": PRECONDITION,
  "image-kernel-unfit": PRECONDITION,
  "image-tree-invalid": PRECONDITION,
  "image-pack-failed": PRECONDITION,
  "initramfs-build-failed": PRECONDITION,
  "blob-missing": NOT_FOUND,
  "blob-corrupt": DATA_LOSS,
  "blob-offset-invalid": { http: 416, grpc: 11, exit: 2, retryable: false },
  "disk-full": { http: 507, grpc: 8, exit: 7, retryable: true },
  "overlay-invalid": PRECONDITION,
  "overlay-unknown": NOT_FOUND,
  // netboot
  "dhcp-failed": PRECONDITION,
  "port-in-use": PRECONDITION,
  "program-missing": PRECONDITION,
  // identity and enrolment
  "token-refused": UNAUTHENTICATED,
  "certificate-refused": UNAUTHENTICATED,
  "enrolment-refused": DENIED,
  "permission-denied": DENIED,
  "api-token-refused": UNAUTHENTICATED,
  "protocol-unsupported": PRECONDITION,
  "too-many-pending": EXHAUSTED,
  "too-many-requests": EXHAUSTED,
  "ticket-refused": DENIED,
  "authority-unusable": PRECONDITION,
  // agent: network
  "no-boot-interface": PRECONDITION,
  "no-link": UNAVAILABLE,
  "no-lease": UNAVAILABLE,
  "no-route": UNAVAILABLE,
  "controller-unreachable": UNAVAILABLE,
  "controller-refused": UNAVAILABLE,
  "certificate-mismatch": DENIED,
  "boot-arguments-invalid": INVALID,
  "hardware-unreadable": PRECONDITION,
  // agent: root file system
  "no-image": PRECONDITION,
  "kernel-mismatch": PRECONDITION,
  "memory-insufficient": PRECONDITION,
  "fetch-gave-up": UNAVAILABLE,
  "mount-failed": PRECONDITION,
  "overlay-apply-failed": PRECONDITION,
  "init-missing": PRECONDITION,
  // a node that is up
  "node-unreachable": UNAVAILABLE,
  "node-restarting": UNAVAILABLE,
  // everything
  "command-failed": PRECONDITION,
  "deadline-exceeded": { http: 504, grpc: 4, exit: 7, retryable: true },
  internal: { http: 500, grpc: 13, exit: 1, retryable: false },
} as const satisfies Record<string, ErrorMeaning>;

export type ErrorCode = keyof typeof ERROR_MEANINGS;

/** What a {@link MusterError} is made of. */
export interface MusterErrorParts {
  readonly code: ErrorCode;
  /** One sentence, no full stop: what failed, with the names and values involved. */
  readonly what: string;
  /** What the operator does next, preferably a command to type. */
  readonly fix?: string;
  readonly cause?: unknown;
}

/** A failure an operator can act on. A bug is a plain `Error` instead. */
export class MusterError extends Error {
  readonly code: ErrorCode;
  readonly fix: string | undefined;

  constructor(parts: MusterErrorParts) {
    super(parts.what, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.name = "MusterError";
    this.code = parts.code;
    this.fix = parts.fix;
  }
}

/** The meaning of an error on every border; anything that is no MusterError is `internal`. */
export function errorMeaning(error: unknown): ErrorMeaning {
  return ERROR_MEANINGS[error instanceof MusterError ? error.code : "internal"];
}

/**
 * An error and its chain of causes as one line for people: "what: cause: cause".
 * Causes whose text is already said are left out.
 */
export function errorSentence(error: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = error; at !== undefined && at !== null; ) {
    const message = at instanceof Error ? at.message : typeof at === "string" ? at : "unknown error";
    // grpc-js puts number and name of the status before what the other side said.
    const text = message.replace(/^\d{1,2} [A-Z_]+: /, "");
    if (!parts.some((said) => said.includes(text))) parts.push(text);
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(": ");
}
