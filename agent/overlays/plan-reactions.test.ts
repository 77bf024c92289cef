import { expect, test } from "vitest";

import { parseGlob, planReactions } from "./plan-reactions.ts";

test.each([
  ["/etc/motd", "/etc/motd", true],
  ["/etc/motd", "/etc/motd.d", false],
  ["/etc/*.conf", "/etc/a.conf", true],
  ["/etc/*.conf", "/etc/d/a.conf", false],
  ["/etc/*.conf", "/etc/aconf", false],
  ["/etc/?", "/etc/a", true],
  ["/etc/?", "/etc//", false],
  ["/etc/?", "/etc/ä", true],
  ["/etc/ssh/**", "/etc/ssh/d/e/f", true],
  ["/etc/ssh/**", "/etc/ssh", false],
  ["/etc/**/x", "/etc/x", true],
  ["/etc/**/x", "/etc/a/b/x", true],
  ["/etc/**/x", "/etc/ax", false],
  ["/**", "/anything/at/all", true],
  ["/etc/[a-c]1", "/etc/b1", true],
  ["/etc/[!a-c]1", "/etc/b1", false],
  ["/etc/[!a-c]1", "/etc/x1", true],
  ["/etc[!x]a", "/etc/a", false],
  ["/etc/[]]", "/etc/]", true],
  ["/etc/[", "/etc/[", true],
  ["/etc/[z-a]", "/etc/b", false],
  ["/etc/\\*", "/etc/*", true],
  ["/etc/\\*", "/etc/a", false],
  ["/etc/a+b(c)|d", "/etc/a+b(c)|d", true],
  ["/etc/a\nb*", "/etc/a\nbc", true],
] as const)("%j matches %j: %j", (glob, path, matches) => {
  expect(parseGlob(glob).test(path)).toBe(matches);
});

test("commands run in the order of their first declaration, each once, with the longest of their deadlines", () => {
  const reactions = [
    { globs: ["/etc/a"], command: "one", deadlineSeconds: 10 },
    { globs: ["/etc/b", "/etc/c"], command: "two", deadlineSeconds: 20 },
    { globs: ["/etc/c"], command: "one", deadlineSeconds: 40 },
    { globs: ["/opt/**"], command: "three", deadlineSeconds: 30 },
  ];
  const called = planReactions(reactions, ["/etc/c", "/etc/a"]);
  expect(called.map(({ command, deadlineSeconds }) => [command, deadlineSeconds])).toEqual([
    ["one", 40],
    ["two", 20],
  ]);
  expect(planReactions(reactions, [])).toEqual([]);
});
