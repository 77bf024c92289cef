import { expect, it } from "vitest";

import { renderConfigFindings } from "../config/config-finding.ts";
import { type DhcpdStatement, parseDhcpdConf } from "./parse-dhcpd-conf.ts";

/** "3:1 host c001 { ... }" */
function shown({ line, column, words, block }: DhcpdStatement): string {
  const inner = block === undefined ? "" : ` { ${block.map(shown).join("; ")} }`;
  return `${line}:${column} ${words.map(({ text }) => text).join(" ")}${inner}`;
}

it("reads statements and blocks, with comments and strings that look like more", () => {
  const text = [
    'option domain-name "a; {b} # \\"c\\""; # not } this',
    "group{option x 1,2;host c1{hardware ethernet 52:54:0:0:0:1;}",
    "};",
    'filename "two',
    'lines"; last;',
  ].join("\r\n");
  const { statements, findings } = parseDhcpdConf(text);
  expect(findings).toEqual([]);
  expect(statements.map(shown)).toEqual([
    '1:1 option domain-name a; {b} # "c"',
    "2:1 group { 2:7 option x 1 , 2; 2:20 host c1 { 2:28 hardware ethernet 52:54:0:0:0:1 } }",
    "4:1 filename two\r\nlines",
    "5:9 last",
  ]);
});

it("finds braces without a partner, strings without an end, and statements without one", () => {
  const findings = (text: string): readonly string[] =>
    renderConfigFindings("dhcpd.conf", parseDhcpdConf(text).findings);
  expect(findings("host c1 {\n  hardware ethernet x\n}\nend")).toEqual([
    'dhcpd.conf:2:3: hardware ethernet x: does not end; end it with ";"',
    'dhcpd.conf:4:1: end: does not end; end it with ";"',
  ]);
  expect(findings("a; }\ngroup {\n host c1 {")).toEqual([
    'dhcpd.conf:1:4: this "}" has no "{"; delete it',
    'dhcpd.conf:2:1: group: its "{" is never closed; add "}"',
    'dhcpd.conf:3:2: host c1: its "{" is never closed; add "}"',
  ]);
  expect(findings('{ a; }\nfilename "x;')).toEqual([
    'dhcpd.conf:1:1: nothing stands before this "{"',
    'dhcpd.conf:2:1: filename: does not end; end it with ";"',
    'dhcpd.conf:2:10: this string is never closed; close it with "',
  ]);
});

it("a file of nothing but one long word, string or comment is read in time", () => {
  const much = "x".repeat(16 * 1024 * 1024);
  expect(parseDhcpdConf(`${much};`).statements).toHaveLength(1);
  expect(parseDhcpdConf(`"${much}";`).statements).toHaveLength(1);
  expect(parseDhcpdConf(`"${much}\\"`).findings[0]?.what).toBe("this string is never closed");
  expect(parseDhcpdConf(`#${much}`).statements).toHaveLength(0);
  expect(parseDhcpdConf("{".repeat(100_000)).findings).toHaveLength(200_000);
});
