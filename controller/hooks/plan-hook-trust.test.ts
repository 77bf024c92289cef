import { describe, expect, test } from "vitest";

import { type FileTrustFacts, planHookTrust } from "./plan-hook-trust.ts";

const FILE: FileTrustFacts = { path: "/etc/muster/hooks.d/drain.sh", isFile: true, mode: 0o100755, uid: 0 };
const PLACE: FileTrustFacts = { path: "/etc/muster/hooks.d", isFile: false, mode: 0o40755, uid: 0 };
const MUSTERD = 997;
const verdict = (
  file: Partial<FileTrustFacts>,
  place: Partial<FileTrustFacts> = {},
  name = "drain.sh",
): string => {
  const trust = planHookTrust(name, { ...FILE, ...file }, [{ ...PLACE, ...place }], MUSTERD);
  return trust.verdict === "refuse" ? `${trust.verdict}: ${trust.fix}` : trust.verdict;
};

describe("planHookTrust", () => {
  test.each(["drain", "10-drain.sh", "Drain_2.py", "_x"])("runs %s of root or of musterd's user", (name) => {
    expect(verdict({}, {}, name)).toBe("run");
    expect(verdict({ uid: MUSTERD }, { uid: MUSTERD }, name)).toBe("run");
  });

  test.each([
    ".drain.swp",
    "drain~",
    "drain.bak",
    "drain.dpkg-old",
    "drain.rpmsave",
    "drain sh",
    "drain.disabled",
  ])("ignores %s", (name) => {
    expect(verdict({}, {}, name)).toBe("ignore");
  });

  test("ignores what is no regular file, or not executable", () => {
    expect(verdict({ isFile: false })).toBe("ignore");
    expect(verdict({ mode: 0o100644 })).toBe("ignore");
  });

  test.each<[Partial<FileTrustFacts>, Partial<FileTrustFacts>, string]>([
    [{ uid: 1000 }, {}, "refuse: chown root: /etc/muster/hooks.d/drain.sh"],
    [{ mode: 0o100775 }, {}, "refuse: chmod go-w /etc/muster/hooks.d/drain.sh"],
    [{ mode: 0o100757 }, {}, "refuse: chmod go-w /etc/muster/hooks.d/drain.sh"],
    [{}, { uid: 1000 }, "refuse: chown root: /etc/muster/hooks.d"],
    [{}, { mode: 0o41777 }, "refuse: chmod go-w /etc/muster/hooks.d"],
  ])("refuses %j in %j: somebody else could choose what is run", (file, place, expected) => {
    expect(verdict(file, place)).toBe(expected);
  });
});
