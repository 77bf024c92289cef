import { MusterError, type MusterErrorParts } from "#proto/contract/muster-error.ts";

/** Something wrong with a request, and where: "nodes[0].devices[0].mac". */
export interface RequestFinding {
  readonly at: string;
  readonly what: string;
  readonly fix?: string;
}

/** What an error body carries besides code, what and fix. */
export interface RequestErrorDetails {
  readonly findings?: readonly RequestFinding[];
  readonly current?: unknown;
  readonly yours?: unknown;
}

/** A {@link MusterError} whose answer has more in it than a sentence. */
export class RequestError extends MusterError {
  readonly details: RequestErrorDetails;

  constructor(parts: MusterErrorParts, details: RequestErrorDetails) {
    super(parts);
    this.name = "RequestError";
    this.details = details;
  }
}

/** `request-invalid` for everything found wrong; the sentence names each place. */
export function requestInvalid(findings: readonly RequestFinding[]): RequestError {
  const sentences = findings.map(({ at, what }) => (at === "" ? what : `${at}: ${what}`));
  return new RequestError({ code: "request-invalid", what: sentences.join("; ") }, { findings });
}

/** `change-unknown`. */
export function unknownChange(id: number): MusterError {
  return new MusterError({
    code: "change-unknown",
    what: `there is no change ${id}`,
    fix: "`muster history` shows the changes there are",
  });
}
