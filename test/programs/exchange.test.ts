import { Resolver } from "node:dns/promises";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { compareNodeNames } from "#proto/contract/node-set.ts";
import { runCommandUnchecked } from "#proto/host/run-command.ts";

import { makeTestDevice, makeTestNode } from "../../controller/exchange/make-test-node.ts";
import { parseGenders } from "../../controller/exchange/parse-genders.ts";
import type { ExportedNode } from "../../controller/exchange/plan-exported-nodes.ts";
import { renderAnsibleList } from "../../controller/exchange/render-ansible.ts";
import { renderClustershell } from "../../controller/exchange/render-clustershell.ts";
import { renderEthers } from "../../controller/exchange/render-ethers.ts";
import { renderGenders } from "../../controller/exchange/render-genders.ts";
import { renderHosts } from "../../controller/exchange/render-hosts.ts";
import { waitFor } from "../lab/wait-for.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-exchange-"));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function output(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const ran = await runCommandUnchecked({
    program,
    args,
    deadlineMs: 60_000,
    env: { PATH: process.env["PATH"] ?? "", ...env },
  });
  return `${ran.stdout}${ran.stderr}`;
}

const NODES: readonly ExportedNode[] = [
  ...["c001", "c002", "c003", "c010", "r1n1", "r1n2", "r2n1", "r2n2", "gpu1a", "gpu2a"].map((name, index) =>
    makeTestNode(name, {
      profiles: index % 2 === 0 ? ["base", "gpu-2.x"] : ["base"],
      image: "debian12",
      tags: { rack: String(index % 3), fast: "", url: "http://%n/100%" },
      state: index < 4 ? "ready" : "failed",
      devices: [
        makeTestDevice("eno1", {
          mac: parseMacAddress(`52:54:00:00:00:0${index}`),
          address: `10.1.0.${index + 1}`,
        }),
        makeTestDevice("ib0", { type: "infiniband", address: `10.2.0.${index + 1}` }),
      ],
    }),
  ),
  makeTestNode("login"),
];

const membersOf = (isMember: (node: ExportedNode) => boolean): string[] =>
  NODES.filter(isMember).map(({ name }) => name);

describe("ClusterShell's nodeset", () => {
  test("finds the members of every group in the exported file", async () => {
    await mkdir(join(directory, "groups.d"));
    await writeFile(
      join(directory, "groups.conf"),
      `[Main]\ndefault: muster\nautodir: ${directory}/groups.d\n`,
    );
    await writeFile(join(directory, "groups.d", "muster.yaml"), renderClustershell(NODES).text);
    const expanded = async (set: string): Promise<readonly string[]> =>
      (await output("nodeset", ["-e", set], { CLUSTERSHELL_CFGDIR: directory }))
        .trim()
        .split(" ")
        .sort(compareNodeNames);
    const sorted = (names: readonly string[]): readonly string[] => names.toSorted(compareNodeNames);
    expect(await expanded("@all")).toEqual(sorted(membersOf(() => true)));
    expect(await expanded("@profile:gpu-2.x")).toEqual(
      sorted(membersOf(({ profiles }) => profiles.length === 2)),
    );
    expect(await expanded("@image:debian12")).toEqual(sorted(membersOf(({ image }) => image !== undefined)));
    expect(await expanded("@tag:rack=1")).toEqual(sorted(membersOf(({ tags }) => tags["rack"] === "1")));
    expect(await expanded("@tag:fast&@state:ready")).toEqual(
      sorted(membersOf(({ state }) => state === "ready")),
    );
    const listed = await output("nodeset", ["-LL", "-s", "tag"], { CLUSTERSHELL_CFGDIR: directory });
    expect(listed).toContain("@tag:url=http://%n/100% ");
  });
});

describe("genders' nodeattr", () => {
  test("reads the exported file, and finds what was exported", async () => {
    const path = join(directory, "genders");
    await writeFile(path, renderGenders(NODES).text);
    expect(await output("nodeattr", ["-f", path, "--parse-check"])).toBe(
      "nodeattr: 0 parse errors discovered\n",
    );
    expect(await output("nodeattr", ["-f", path, "-l", "r2n1"])).toBe(
      "base\ngpu-2.x\nimage=debian12\nrack=0\nfast\nurl=http://r2n1/100%\n".replace(
        "http://r2n1",
        "http://%n",
      ),
    );
    const hosts = (await output("nodeattr", ["-f", path, "-n", "rack=1"])).trim().split("\n");
    expect(hosts.sort()).toEqual(membersOf(({ tags }) => tags["rack"] === "1").sort());
    expect((await output("nodeattr", ["-f", path, "-n", "-A"])).trim().split("\n").sort()).toEqual(
      membersOf(() => true).sort(),
    );
  });

  test("reads what muster reads, and refuses what muster refuses", async () => {
    const word = fc.constantFrom("a", "b", "rack=1", "rack=%n-%%", "x=y=z", "", "=v", "k=", "#", "p%q");
    const hosts = fc.constantFrom(
      "c1",
      "c[1-3]",
      "c[1,3]",
      "c1,c2",
      "c[3-1]",
      "login",
      "c1.example",
      "c1,,c2",
      "r[1-2]x",
    );
    const line = fc.oneof(
      fc
        .tuple(hosts, fc.array(word, { minLength: 1, maxLength: 3 }))
        .map(([at, words]) => `${at} ${words.join(",")}`),
      hosts,
      fc.constant("c1 a b"),
      fc.constant(""),
    );
    const path = join(directory, "random");
    const seen = { taken: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 5 }), async (lines) => {
        await writeFile(path, `${lines.join("\n")}\n`);
        const { nodes, findings } = parseGenders(`${lines.join("\n")}\n`);
        const checked = await output("nodeattr", ["-f", path, "--parse-check"]);
        seen[findings.length === 0 ? "taken" : "refused"] += 1;
        expect(findings.length === 0).toBe(checked.endsWith(" 0 parse errors discovered\n"));
        if (findings.length > 0) return;
        for (const { name, attributes } of nodes) {
          const ours = attributes.map((one) =>
            one.value === undefined ? one.name : `${one.name}=${one.value}`,
          );
          const theirs = await output("nodeattr", ["-f", path, "-l", name]);
          expect([
            name,
            theirs
              .split("\n")
              .filter((text) => text !== "")
              .sort(),
          ]).toEqual([name, ours.sort()]);
        }
      }),
      { numRuns: 150 },
    );
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(20);
  }, 120_000);
});

describe("ansible-inventory", () => {
  test("takes the exported inventory as a script's, and gives its groups and variables", async () => {
    const script = join(directory, "muster.sh");
    const { inventory } = renderAnsibleList(NODES);
    await writeFile(
      script,
      `#!/bin/sh\n[ "$1" = --list ] || exit 1\ncat <<'EOF'\n${JSON.stringify(inventory)}\nEOF\n`,
      {
        mode: 0o755,
      },
    );
    const listed = JSON.parse(
      await output("ansible-inventory", ["-i", script, "--list"], { HOME: directory, LC_ALL: "C.UTF-8" }),
    ) as Readonly<Record<string, { readonly hosts?: readonly string[] }>> & {
      readonly _meta: { readonly hostvars: Readonly<Record<string, unknown>> };
    };
    expect(listed["profile_gpu_2_x"]?.hosts).toEqual(membersOf(({ profiles }) => profiles.length === 2));
    expect(listed["tag_rack_1"]?.hosts).toEqual(membersOf(({ tags }) => tags["rack"] === "1"));
    expect(listed["state_ready"]?.hosts).toEqual(membersOf(({ state }) => state === "ready"));
    expect(listed._meta.hostvars["c001"]).toEqual({
      ansible_host: "10.1.0.1",
      muster_profiles: ["base", "gpu-2.x"],
      muster_tags: { rack: "0", fast: "", url: "http://%n/100%" },
      muster_devices: {
        eno1: { type: "ethernet", mac: "52:54:00:00:00:00", address: "10.1.0.1" },
        ib0: { type: "infiniband", address: "10.2.0.1" },
      },
      muster_image: "debian12",
      muster_state: "ready",
    });
  }, 60_000);
});

describe("dnsmasq", () => {
  test("resolves every name of the hosts file to its address", async () => {
    const path = join(directory, "hosts");
    await writeFile(path, renderHosts(NODES, "hpc.example").text);
    const port = await freePort();
    const stop = new AbortController();
    const running = runCommandUnchecked(
      {
        program: "dnsmasq",
        args: [
          ...[
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--conf-file=/dev/null",
          ],
          ...[
            "--user=root",
            "--pid-file",
            "--listen-address=127.0.0.1",
            `--port=${port}`,
            `--addn-hosts=${path}`,
          ],
        ],
      },
      stop.signal,
    ).catch(() => undefined);
    try {
      const resolver = new Resolver({ timeout: 1000, tries: 20 });
      resolver.setServers([`127.0.0.1:${port}`]);
      const names = ["c010", "c010.hpc.example", "c010-eno1", "c010-ib0", "gpu2a"];
      // Until it listens, a question is refused, and a refusal is not asked again.
      await waitFor(() => resolver.resolve4("c010").catch(() => undefined), {
        what: "dnsmasq to answer",
        deadlineMs: 20_000,
      });
      const found = await Promise.all(names.map(async (name) => resolver.resolve4(name)));
      expect(found).toEqual([["10.1.0.4"], ["10.1.0.4"], ["10.1.0.4"], ["10.2.0.4"], ["10.1.0.10"]]);
    } finally {
      stop.abort();
      await running;
    }
  }, 60_000);
});

describe("glibc's ether_line", () => {
  test("reads every line of the ethers file", async () => {
    const path = join(directory, "ethers");
    await writeFile(path, renderEthers(NODES).text);
    const read = [
      "import ctypes, sys",
      "libc = ctypes.CDLL('libc.so.6')",
      "for line in open(sys.argv[1]):",
      "    mac, name = ctypes.create_string_buffer(6), ctypes.create_string_buffer(256)",
      "    print(libc.ether_line(line.encode(), mac, name), mac.raw.hex(':'), name.value.decode())",
    ].join("\n");
    expect(await output("/usr/bin/python3", ["-c", read, path])).toBe(
      NODES.slice(0, -1)
        .map(({ name }, index) => `0 52:54:00:00:00:0${index} ${name}\n`)
        .join(""),
    );
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
