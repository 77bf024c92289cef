import { describe, expect, it } from "vitest";

import { errorMeaning, errorSentence, ERROR_MEANINGS, MusterError } from "./muster-error.ts";

describe("errorSentence", () => {
  it("chains causes and leaves out what is said already", () => {
    const inner = new Error("connection refused");
    const middle = new MusterError({
      code: "controller-refused",
      what: "no session: connection refused",
      cause: inner,
    });
    const outer = new MusterError({ code: "fetch-gave-up", what: "could not fetch", cause: middle });
    expect(errorSentence(outer)).toBe("could not fetch: no session: connection refused");
  });

  it("takes strings and admits to know nothing of other things", () => {
    expect([errorSentence("plain"), errorSentence({ odd: true })]).toEqual(["plain", "unknown error"]);
  });
});

describe("errorMeaning", () => {
  it("is that of the code, and internal for anything that is no MusterError", () => {
    expect(errorMeaning(new MusterError({ code: "mac-in-use", what: "x" }))).toBe(
      ERROR_MEANINGS["mac-in-use"],
    );
    expect(errorMeaning(new TypeError("bug"))).toBe(ERROR_MEANINGS.internal);
  });

  it("never calls a failure a success on any border", () => {
    const wrong = Object.entries(ERROR_MEANINGS).filter(
      ([, { http, grpc, exit }]) =>
        http < 400 || http > 599 || grpc < 1 || grpc > 16 || exit < 1 || exit > 125,
    );
    expect(wrong).toEqual([]);
  });
});
