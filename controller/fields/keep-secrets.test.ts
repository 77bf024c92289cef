import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { arbitraryFields } from "../../test/fixtures/arbitrary-fields.ts";
import { type Fields, KEPT_SECRET } from "./fields.ts";
import { keepSecrets, redactSecrets } from "./keep-secrets.ts";

describe("secrets", () => {
  it("are not shown", () => {
    expect(redactSecrets({ image: "a", bmc: { user: "admin", password: "hunter2" } })).toEqual({
      image: "a",
      bmc: { user: "admin", password: KEPT_SECRET },
    });
  });

  it("that were shown as kept are the old ones", () => {
    const current: Fields = { bmc: { user: "admin", password: "hunter2" } };
    const wanted: Fields = { bmc: { user: "root", password: KEPT_SECRET } };
    expect(keepSecrets(wanted, current)).toEqual({
      fields: { bmc: { user: "root", password: "hunter2" } },
      findings: [],
    });
  });

  it("that are written replace the old ones, and those that are left out are gone", () => {
    const current: Fields = { bmc: { password: "hunter2" } };
    expect(keepSecrets({ bmc: { password: "new" } }, current).fields).toEqual({ bmc: { password: "new" } });
    expect(keepSecrets({ image: "a" }, current)).toEqual({ fields: { image: "a" }, findings: [] });
  });

  it("that are kept must be there", () => {
    const wanted: Fields = { image: "a", bmc: { password: KEPT_SECRET } };
    const finding = {
      at: "bmc.password",
      what: "is (kept), but there is none to keep",
      fix: "write the secret itself, or leave it out",
    };
    expect(keepSecrets(wanted, { image: "b" })).toEqual({ fields: { image: "a" }, findings: [finding] });
    expect(keepSecrets(wanted, undefined)).toEqual({ fields: { image: "a" }, findings: [finding] });
  });

  it("come back from what is shown, with everything else", () => {
    fc.assert(
      fc.property(arbitraryFields, (fields) => {
        expect(keepSecrets(redactSecrets(fields), fields)).toEqual({ fields, findings: [] });
      }),
    );
  });
});
