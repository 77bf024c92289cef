import { describe, expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import type { ApprovalRule } from "../config/muster-config.ts";
import { type ApprovalFacts, planApproval } from "./plan-approval.ts";

const MACHINE: ApprovalFacts = {
  bootMac: parseMacAddress("52:54:00:12:34:56"),
  serial: "SN1",
  address: "10.77.0.101",
};
const fits = (rule: Omit<ApprovalRule, "names">, machine = MACHINE): boolean =>
  planApproval([{ names: "c[1-2]", ...rule }], machine, new Set()).kind === "approve";

describe("planApproval", () => {
  test("gives out the names of the pattern in order, skipping those taken", () => {
    const rules = [{ names: "c[001-003]", image: "debian12" }];
    expect(planApproval(rules, MACHINE, new Set(["c001", "c003"]))).toEqual({
      kind: "approve",
      name: "c002",
      image: "debian12",
    });
    expect(planApproval(rules, MACHINE, new Set(["c001", "c002", "c003"]))).toEqual({
      kind: "names-exhausted",
      names: "c[001-003]",
    });
  });

  test("lets the first rule that fits decide, and none approve by default", () => {
    const rules = [{ names: "a1", serials: ["SN2"] }, { names: "b1", serials: ["SN1"] }, { names: "c1" }];
    expect(planApproval(rules, MACHINE, new Set())).toEqual({ kind: "approve", name: "b1" });
    expect(planApproval([], MACHINE, new Set())).toEqual({ kind: "none" });
  });

  test.each<[boolean, Omit<ApprovalRule, "names">]>([
    [true, { macPrefixes: ["00:11:22", "52-54-00"] }],
    [true, { macPrefixes: ["525400123456"] }],
    [false, { macPrefixes: ["54:00"] }],
    [false, { macPrefixes: [""] }],
    [true, { serials: ["SN1"] }],
    [false, { serials: ["SN"] }],
    [true, { addresses: "10.77.0.0/24" }],
    [true, { addresses: "0.0.0.0/0" }],
    [false, { addresses: "10.77.1.0/24" }],
    [false, { addresses: "nonsense" }],
    [false, { serials: ["SN1"], addresses: "10.77.1.0/24" }],
  ])("fits is %s for %j", (expected, rule) => {
    expect(fits(rule)).toBe(expected);
  });

  test("a machine without a serial number or with an IPv6 address fits no list and no IPv4 range", () => {
    expect(fits({ serials: [""] }, { ...MACHINE, serial: "" })).toBe(false);
    expect(fits({ addresses: "0.0.0.0/0" }, { ...MACHINE, address: "fd77::5" })).toBe(false);
  });
});
