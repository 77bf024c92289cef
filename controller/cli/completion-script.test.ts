import { expect, it } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";

import { typeCommand } from "./type-command.ts";

/** Prints the words it was asked about, then what they may become. */
const STUB = `muster() { printf 'asked:%s\\n' "$(printf '<%s>' "\${@:3}")" >&3; printf '%s\\n' $CANDIDATES; }`;

/** What bash puts in place of what it takes for the last word. */
async function tab(line: string, candidates: readonly string[]): Promise<string> {
  const typed = await typeCommand("/nonexistent", "completion bash");
  const script = typed.slice(typed.indexOf("\n") + 1, typed.lastIndexOf("[0]"));
  const press = `${script}
${STUB}
compopt() { :; }
COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'
COMP_LINE="$1" COMP_POINT=\${#1} CANDIDATES="$2"
exec 3>&1
_muster
printf 'reply:%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await runCommand({
    program: "bash",
    args: ["-c", press, "bash", line, candidates.join(" ")],
  });
  return stdout;
}

it.each([
  ["muster node list c0", ["c001"], "asked:<node><list><c0>\nreply:c001\n"],
  ["muster node list ", ["c001", "c002"], "asked:<node><list><>\nreply:c001\nreply:c002\n"],
  ["muster node list @", ["@up", "@all"], "asked:<node><list><@>\nreply:up\nreply:all\n"],
  ["muster node list @profile:g", ["@profile:gpu"], "asked:<node><list><@profile:g>\nreply:gpu\n"],
  ["muster node list @tag:rack=", ["@tag:rack=1"], "asked:<node><list><@tag:rack=>\nreply:1\n"],
  ["muster node list c001,@st", ["c001,@state:new"], "asked:<node><list><c001,@st>\nreply:state:new\n"],
  ["muster node list '@up!c00", ["@up!c001"], "asked:<node><list><@up!c00>\nreply:@up!c001\n"],
  [
    "muster node set c001 devices.eno1.m",
    ["devices.eno1.mtu="],
    "asked:<node><set><c001><devices.eno1.m>\nreply:devices.eno1.mtu=\n",
  ],
])("completes %s", async (line, candidates, shown) => {
  expect(await tab(line, candidates)).toBe(shown);
});

it("runs nothing that a name has in it", async () => {
  expect(await tab("muster node list $", ["$(id)", "`id`"])).toBe(
    "asked:<node><list><$>\nreply:$(id)\nreply:`id`\n",
  );
});
