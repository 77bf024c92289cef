import { describe, expect, it } from "vitest";

import { parseHardwareArguments } from "./parse-hardware-arguments.ts";

describe("the options of muster-agent hardware", () => {
  it("default to this machine and the newest Slurm", () => {
    expect(parseHardwareArguments([])).toEqual({ version: "25.11", json: false, root: "/", help: false });
  });

  it("are all taken, with the value apart or after an equals sign", () => {
    expect(
      parseHardwareArguments([
        "--slurm-version=25.11",
        "--parameters",
        "a,b",
        "--json",
        "--root",
        "/x",
        "--node=n1",
      ]),
    ).toEqual({ version: "25.11", parameters: "a,b", json: true, root: "/x", node: "n1", help: false });
  });

  it.each([
    ["22.05.8", "22.05"],
    ["22.05", "22.05"],
    ["23.11", "23.02"],
    ["24.05.4", "23.02"],
    ["25.05", "24.11"],
    ["26.05", "25.11"],
  ])("take Slurm %s for %s, which prints the same", (given, version) => {
    expect(parseHardwareArguments(["--slurm-version", given]).version).toBe(version);
  });

  it.each([
    [["--slurm-version", "21.08"], "--slurm-version 21.08 is not known"],
    [["--slurm-version", "new"], "--slurm-version new is not known"],
    [["--slurm-version", "24.11", "--parameters", "x"], "slurmd of Slurm 24.11 has no --parameters"],
    [["--frob"], "Unknown option '--frob'"],
    [["extra"], "Unexpected argument 'extra'"],
    [["--root"], "Option '--root <value>' argument missing"],
  ])("refuse %j", (args, what) => {
    expect(() => parseHardwareArguments(args)).toThrow(
      expect.objectContaining({ code: "argument-invalid", message: expect.stringContaining(what) as string }),
    );
  });
});
