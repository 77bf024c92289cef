import { describe, expect, it } from "vitest";

import { renderConfigFindings } from "../config/config-finding.ts";
import { parseOverlaySettings } from "./parse-overlay-settings.ts";

function wrong(text: string): readonly string[] {
  return renderConfigFindings("overlay.yaml", parseOverlaySettings(text).findings ?? []);
}

describe("overlay.yaml", () => {
  it("names commands by the paths they are for, with a deadline or without", () => {
    const text = `onChange:
  "/etc/chrony*": systemctl try-restart chronyd
  "/etc/ssh/**": {command: "systemctl reload ssh", deadline: 30s}
  "/etc/a": |
    first
    second
`;
    expect(parseOverlaySettings(text).settings).toEqual({
      reactions: [
        { glob: "/etc/chrony*", command: "systemctl try-restart chronyd", deadlineSeconds: 60 },
        { glob: "/etc/ssh/**", command: "systemctl reload ssh", deadlineSeconds: 30 },
        { glob: "/etc/a", command: "first\nsecond", deadlineSeconds: 60 },
      ],
    });
  });

  it.each(["", "# nothing\n", "onChange:\n", "onChange: {}\n"])("may say nothing: %j", (text) => {
    expect(parseOverlaySettings(text).settings).toEqual({ reactions: [] });
  });

  it("is told everything that is wrong with it at once, each with its place", () => {
    const text = `onchange: {}
onChange:
  etc/motd: "true"
  "/etc/{a,b}": "true"
  "/etc/a":
  "/etc/b": 7
  "/etc/c": [a]
  "/etc/d": {deadline: 2h, comand: x}
  "/etc/e": " "
`;
    expect(wrong(text)).toEqual([
      "overlay.yaml:1:1: onchange: is not a key muster knows; did you mean onChange?",
      "overlay.yaml:3:3: onChange.etc/motd: is not a pattern of absolute paths; start it with /",
      "overlay.yaml:4:3: onChange./etc/{a,b}: holds a brace, which has no meaning here; write a line for each alternative",
      "overlay.yaml:5:3: onChange./etc/a: has no command",
      "overlay.yaml:6:13: onChange./etc/b: is not a command; write it in quotes",
      "overlay.yaml:7:13: onChange./etc/c: is not a single value",
      "overlay.yaml:8:3: onChange./etc/d: has no command",
      'overlay.yaml:8:24: onChange./etc/d.deadline: "2h" is not between 1s and 1h',
      "overlay.yaml:8:28: onChange./etc/d.comand: is not a key muster knows; did you mean command?",
      "overlay.yaml:9:13: onChange./etc/e: is empty; write a command for /bin/sh -c",
    ]);
  });

  it.each([
    ["onChange: [", ["overlay.yaml:1:12: cannot be read as YAML: "]],
    ["a: 1\na: 2\n", ["overlay.yaml:2:1: this key is here twice"]],
    ["- a\n", ["overlay.yaml:1:1: is not a mapping"]],
    ["[".repeat(100_000), ["overlay.yaml:1:"]],
  ])("that is no mapping is refused", (text, starts) => {
    const lines = wrong(text);
    starts.forEach((start, index) => {
      expect(lines[index]?.slice(0, start.length)).toBe(start);
    });
  });
});
