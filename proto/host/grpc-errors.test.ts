import { Metadata, status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";

import { MusterError } from "../contract/muster-error.ts";
import { grpcErrorFrom, musterErrorFromGrpc } from "./grpc-errors.ts";

const parts = (error: MusterError): unknown => ({ code: error.code, what: error.message, fix: error.fix });

describe("grpcErrorFrom and musterErrorFromGrpc", () => {
  test("code, sentence and fix of a MusterError survive the wire, in any script", () => {
    const error = new MusterError({
      code: "token-refused",
      what: 'the token of "c001" was used (Gerät läuft)',
      fix: "power-cycle the node: 再起動",
      cause: new Error("row 7"),
    });
    const sent = grpcErrorFrom(error);
    expect(sent.code).toBe(status.UNAUTHENTICATED);
    expect(parts(musterErrorFromGrpc(sent))).toEqual({
      code: "token-refused",
      what: 'the token of "c001" was used (Gerät läuft): row 7',
      fix: "power-cycle the node: 再起動",
    });
  });

  test("a bug tells nothing of itself", () => {
    const sent = grpcErrorFrom(new Error("SELECT secret FROM node_secret"));
    expect({ code: sent.code, details: sent.details, message: sent.message }).toEqual({
      code: status.INTERNAL,
      details: "the controller failed to handle this call",
      message: "the controller failed to handle this call",
    });
    expect(musterErrorFromGrpc(sent).code).toBe("internal");
  });

  test("text that would break the trailers is cut and made well-formed", () => {
    const sent = grpcErrorFrom(
      new MusterError({
        code: "request-invalid",
        what: `bad \ud800 ${"x".repeat(5000)}`,
        fix: "y".repeat(5000),
      }),
    );
    expect(() => encodeURI(sent.details)).not.toThrow();
    expect(sent.details.length).toBe(1503);
    expect(musterErrorFromGrpc(sent).fix?.length).toBe(1503);
  });

  test.each([
    [status.UNAVAILABLE, "No connection established", "controller-unreachable"],
    [status.UNAVAILABLE, "Last error: self-signed certificate in certificate chain", "certificate-mismatch"],
    [status.INTERNAL, "Received RST_STREAM with code 2", "controller-unreachable"],
    [status.CANCELLED, "Call cancelled", "controller-unreachable"],
    [status.DEADLINE_EXCEEDED, "Deadline exceeded", "deadline-exceeded"],
    [status.UNIMPLEMENTED, "no such method", "protocol-unsupported"],
    [status.RESOURCE_EXHAUSTED, "Bandwidth exhausted", "controller-refused"],
    [status.INVALID_ARGUMENT, "", "request-invalid"],
    [status.UNAUTHENTICATED, "who are you", "certificate-refused"],
    [status.PERMISSION_DENIED, "no", "permission-denied"],
    [status.DATA_LOSS, "short", "blob-corrupt"],
    [status.NOT_FOUND, "gone", "blob-missing"],
  ])("status %i (%s) without a code of ours is %s", (code, details, expected) => {
    expect(musterErrorFromGrpc({ code, details, metadata: new Metadata() }).code).toBe(expected);
  });

  test("a code of a newer controller falls back to the status", () => {
    const metadata = new Metadata();
    metadata.set("muster-code", "solar-flare");
    expect(musterErrorFromGrpc({ code: status.UNAVAILABLE, details: "later", metadata }).code).toBe(
      "controller-unreachable",
    );
  });

  test("anything else thrown is internal and keeps its cause", () => {
    const bug = new TypeError("x is undefined");
    const error = musterErrorFromGrpc(bug);
    expect(parts(error)).toEqual({ code: "internal", what: "x is undefined", fix: undefined });
    expect(error.cause).toBe(bug);
  });
});
