import { expect, test } from "vitest";

import { parseAptSources, renderAptSources } from "./parse-apt-sources.ts";

test("of one-line sources only the distribution's own are taken, with their keyring", () => {
  const text = `# comment
deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian bookworm main contrib # ours
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian bookworm-backports main
deb http://mirror.example/security bookworm-security main
deb http://vendor.example/apt bookworm stable
deb http://vendor.example/apt bookworm-pgdg main
deb http://flat.example/apt ./
`;
  expect(parseAptSources(text, "bookworm")).toEqual([
    {
      uri: "http://mirror.example/debian",
      suite: "bookworm",
      components: ["main", "contrib"],
      signedBy: "/usr/share/keyrings/debian.gpg",
    },
    { uri: "http://mirror.example/security", suite: "bookworm-security", components: ["main"] },
  ]);
});

test("stanzas are multiplied out, a disabled one and comments inside are left out", () => {
  const text = `Types: deb deb-src
# http://snapshot.example/20250520
URIs: http://mirror.example/debian
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
`;
  const signedBy = "/usr/share/keyrings/debian-archive-keyring.gpg";
  const uri = "http://mirror.example/debian";
  const sources = parseAptSources(text, "bookworm");
  expect(sources).toEqual([
    { uri, suite: "bookworm", components: ["main"], signedBy },
    { uri, suite: "bookworm-updates", components: ["main"], signedBy },
  ]);
  expect(renderAptSources(sources)).toBe(
    `deb [signed-by=${signedBy}] ${uri} bookworm main\ndeb [signed-by=${signedBy}] ${uri} bookworm-updates main\n`,
  );
});

test("a file without any source is no source, not an error", () => {
  expect(parseAptSources("# moved to sources.list.d\n", "bookworm")).toEqual([]);
});
