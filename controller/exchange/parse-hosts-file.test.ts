import { expect, it } from "vitest";

import { parseHostsFile } from "./parse-hosts-file.ts";

it("reads addresses with all their names, and where each stands", () => {
  const text = "\uFEFF# a comment\n\n10.77.0.11\tc001.example c001 # the first\r\n  fd00::11   c001\n";
  expect(parseHostsFile(text)).toEqual({
    lines: [
      {
        line: 3,
        column: 1,
        address: "10.77.0.11",
        isIpv6: false,
        names: [
          { line: 3, column: 12, text: "c001.example" },
          { line: 3, column: 25, text: "c001" },
        ],
      },
      {
        line: 4,
        column: 3,
        address: "fd00::11",
        isIpv6: true,
        names: [{ line: 4, column: 14, text: "c001" }],
      },
    ],
    findings: [],
  });
});

it("finds every line that is no address and every address without a name", () => {
  expect(parseHostsFile("10.77.0.300 c001\nc002\n10.77.0.12 # c003\n").findings).toEqual([
    {
      line: 1,
      column: 1,
      key: "",
      what: '"10.77.0.300" is no IP address',
      fix: "write ADDRESS NAME [ALIAS...]",
    },
    { line: 2, column: 1, key: "", what: '"c002" is no IP address', fix: "write ADDRESS NAME [ALIAS...]" },
    {
      line: 3,
      column: 1,
      key: "",
      what: "10.77.0.12 has no name",
      fix: "write its name behind it, or delete the line",
    },
  ]);
});
