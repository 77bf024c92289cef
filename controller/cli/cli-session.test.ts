import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import type { Command } from "commander";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";

import { openTestSite, TEST_NOW, type TestSite } from "../api/rest/api-test-site.ts";
import { createApi } from "../api/rest/create-api.ts";
import { listenOnAddress, listenOnSocket } from "../api/rest/listen.ts";
import { openCertificateAuthority } from "../identity/certificate-authority.ts";
import { buildProgram } from "./build-program.ts";
import type { CliProcess } from "./cli-context.ts";
import { typeCommand } from "./type-command.ts";

let site: TestSite;
let api: FastifyInstance;
let socket: string;

beforeEach(async () => {
  site = await openTestSite();
  api = await createApi(site.deps, { by: "socket" });
  socket = join(site.directory, "control.sock");
  await listenOnSocket(api, socket, "root");
});

afterEach(async () => {
  await api.close();
  await site[Symbol.asyncDispose]();
});

const muster = (line: string, more: Partial<CliProcess> = {}): Promise<string> =>
  typeCommand(socket, line, { wait: async (ms) => wait(ms), ...more });

describe("a first day with muster", () => {
  it("reads like this", async () => {
    expect(await muster("node list")).toBe(`$ muster node list
2> there are no nodes yet: muster node add NAME --mac MAC, or power a machine on and see muster node pending
[0]
`);
    expect(
      await muster(
        "node add c[001-003] --mac 52:54:00:00:00:01,52:54:00:00:00:02,525400000003 --address 10.77.0.11 --tag rack=1",
      ),
    ).toBe(
      `$ muster node add c[001-003] --mac 52:54:00:00:00:01,52:54:00:00:00:02,525400000003 --address 10.77.0.11 --tag rack=1
c001: added
  devices.eno1.mac      52:54:00:00:00:01
  devices.eno1.address  10.77.0.11
  tags.rack             1
c002: added
  devices.eno1.mac      52:54:00:00:00:02
  devices.eno1.address  10.77.0.12
  tags.rack             1
c003: added
  devices.eno1.mac      52:54:00:00:00:03
  devices.eno1.address  10.77.0.13
  tags.rack             1

at once: DHCP answers otherwise for c[001-003]
2> change 1: 3 nodes c[001-003]; to take it back: muster undo 1
[0]
`,
    );
    await site.wait("K7QM-2XHD", "52:54:00:00:00:09");
    site.statuses.set("c001", {
      node: "c001" as never,
      state: "ready",
      image: "debian12",
      imageVersion: 3,
      bootMs: 27_240,
      lastSeenAt: new Date(TEST_NOW.getTime() - 4000),
      address: "10.77.0.11",
    });
    site.statuses.set("c003", {
      node: "c003" as never,
      state: "failed",
      stage: "fetch",
      lastSeenAt: new Date(TEST_NOW.getTime() - 400_000),
      failure: {
        stage: "fetch",
        code: "blob-corrupt",
        what: "layer 1 does not verify",
        fix: "muster image import again",
        kernelLogTail: "",
      },
    });
    expect(await muster("node list")).toBe(`$ muster node list
NAME  STATE   STAGE  IMAGE        BOOT(s)  LAST SEEN  ADDRESS
c001  ready   -      debian12 v3     27.2  4 s ago    10.77.0.11
c002  new     -      -                  -  -          10.77.0.12
c003  failed  fetch  -                  -  7 min ago  10.77.0.13
2> 1 ready c001, 1 new c002, 1 failed c003
2> 1 machine waits for approval: muster node pending
[0]
`);
    expect(await muster("node pending")).toBe(
      `$ muster node pending
CODE       MAC                ADDRESS      SERIAL  MACHINE       CPUS            MEMORY    WAITING SINCE
K7QM-2XHD  52:54:00:00:00:09  10.77.0.131  S100    Acme?[31m X1  64 (2 sockets)  256.0 GB  65 s ago
2> compare the code with the machine's console, then: muster node approve CODE --name NAME
[0]
`,
    );
    expect(
      await muster("node approve K7QM-2XHD --name c004"),
    ).toBe(`$ muster node approve K7QM-2XHD --name c004
2> K7QM-2XHD is c004 and boots on
2> watch: muster node list c004 --watch
[0]
`);
    expect(await muster("node set --untag rack --untag row c[001-002] --comment 'rack one' --mtu 9000")).toBe(
      `$ muster node set --untag rack --untag row c[001-002] --comment 'rack one' --mtu 9000
c[001-002]:
  comment           (none) -> "rack one"
  devices.eno1.mtu  (none) -> 9000   (reboot)
  tags.rack         1 -> (none)

at the next boot: c[001-002]; where they are up: muster reboot c[001-002]
2> change 3: 2 nodes c[001-002]; to take it back: muster undo 3
[0]
`,
    );
    expect(await muster("node show c002")).toBe(`$ muster node show c002
name:     c002
state:    new
image:    (the site's)
root:     squashfs, at most half of memory writable
comment:  rack one
added:    2026-11-20 12:00:00Z
changed:  2026-11-20 12:00:00Z (revision 2)

DEVICE  TYPE      MAC                ADDRESS     NETMASK  GATEWAY  MTU
eno1    ethernet  52:54:00:00:00:02  10.77.0.12  -        -        9000
[0]
`);
    const both = await muster("node show c[001-002]");
    expect(both.match(/(?<=^name: +)\S+/gm)).toEqual(["c001", "c002"]);
    expect(await muster("node boots c[001-002]")).toBe(`$ muster node boots c[001-002]
2> c001 has not booted yet
2> c002 has not booted yet
[0]
`);
    expect(await muster("node delete c[003-004]")).toBe(`$ muster node delete c[003-004]
c[003-004]: would be deleted

at once: DHCP answers otherwise for c003
2> muster: Delete 2 nodes c[003-004]: there is no terminal to ask on
2>   fix: pass --yes to go ahead without asking
[2]
`);
    expect(await muster("node delete c[003-004] --yes")).toBe(`$ muster node delete c[003-004] --yes
c[003-004]: deleted

at once: DHCP answers otherwise for c003
2> change 4: 2 nodes c[003-004]; to take it back: muster undo 4
[0]
`);
    expect(await muster("status")).toBe(`$ muster status
musterd:    0.1.0, up 1 h
nodes:      2: 1 new, 1 ready
pending:    0 machines
images:     0
authority:  ${site.authority.fingerprint}
[0]
`);
  });
});

describe("what goes wrong", () => {
  it("is said with its reason and its remedy, and the exit status tells which kind it was", async () => {
    await muster("node add c001 --mac 52:54:00:00:00:01");
    expect(await muster("node show c01")).toBe(`$ muster node show c01
2> muster: there is no node "c01"
2>   fix: did you mean c001?
[4]
`);
    expect(await muster("node add c002 --mac 52:54:00:00:00:01")).toMatch(
      /^\$ .*\n2> muster: .*52:54:00:00:00:01.*c001.*\n(2> {3}fix: .*\n)?\[5\]\n$/,
    );
    expect(await muster("node list c[1-")).toMatch(/^\$ .*\n2> muster: .*\n(2> {3}fix: .*\n)?\[2\]\n$/);
    expect(await muster("node set c001")).toBe(`$ muster node set c001
2> muster: nothing to change was given
2>   fix: \`muster node set --help\` lists what can be
[2]
`);
    expect(
      await muster("node add c[5-6] --mac 52:54:00:00:00:05"),
    ).toBe(`$ muster node add c[5-6] --mac 52:54:00:00:00:05
2> muster: 2 nodes cannot have 1 MAC addresses
2>   fix: give one each, with commas between
[2]
`);
    expect(await muster("nod list")).toBe(`$ muster nod list
2> muster: unknown command 'nod'
2> (Did you mean node?)
[2]
`);
  });

  it("names the socket when musterd does not run, and the group when one may not use it", async () => {
    expect(
      await muster("node list --socket /nonexistent/control.sock"),
    ).toBe(`$ muster node list --socket /nonexistent/control.sock
2> muster: cannot reach musterd at /nonexistent/control.sock: there is no such socket
2>   fix: start it with systemctl start musterd (its log: journalctl -u musterd)
[7]
`);
    expect(
      await muster("status --controller https://head:9884"),
    ).toBe(`$ muster status --controller https://head:9884
2> muster: a controller elsewhere wants a token
2>   fix: set MUSTER_TOKEN to one that \`muster token create NAME\` on the controller gave
[6]
`);
  });

  it("is every finding of a configuration, in the form editors jump to", async () => {
    const file = join(site.directory, "muster.yaml");
    await writeFile(
      file,
      "controller: {address: 10.77.0.1}\nnetwork: {subnet: 10.77.0.0/24}\ndhcp: {mod: proxy}\n",
    );
    expect(await muster(`config check ${file}`)).toBe(`$ muster config check ${file}
2> muster: ${file} has 1 error
2> ${file}:3:8: dhcp.mod: is not a key muster knows; did you mean mode?
2>   fix: correct the file; \`muster config check ${file}\` says when it is right
[2]
`);
  });
});

it("says that it was interrupted, and not that it failed", async () => {
  const stop = new AbortController();
  stop.abort();
  const tree = await mkdtemp(join(tmpdir(), "muster-tree-"));
  const answer = await muster(`image import ${tree} --name x`, { signal: stop.signal });
  await rm(tree, { recursive: true });
  expect(answer).toBe(`$ muster image import ${tree} --name x\n2> muster: interrupted\n[130]\n`);
});

it("prints the same data as JSON and YAML, and empty lists as empty lists", async () => {
  expect(await muster("-o json node list")).toContain("\n[]\n");
  await muster("token create ci");
  expect(await muster("token list -o yaml")).toBe(`$ muster token list -o yaml
- name: ci
  createdAt: 2026-11-20T12:00:00.000Z
[0]
`);
  expect(await muster("version -o json")).toBe(`$ muster version -o json
{
  "version": "0.1.0"
}
[0]
`);
});

it("shows boots as waterfalls, with the kernel log only when asked for", async () => {
  await muster("node add c001");
  site.boots.push({
    bootId: "b-2",
    node: "c001",
    mac: "52:54:00:00:00:01",
    startedAt: new Date("2026-11-20T11:50:00.000Z"),
    outcome: "failed",
    stages: [
      { stage: "dhcp", startedMs: 0, endedMs: 1000, detail: "10.77.0.131" },
      { stage: "fetch", startedMs: 1000, endedMs: 4000, detail: "" },
    ],
    failure: {
      stage: "fetch",
      code: "blob-corrupt",
      what: "layer 1 does not verify",
      fix: "import it again",
      kernelLogTail: "one\ntwo\u001b[2J\n",
    },
  });
  const head = `2026-11-20 11:50:00Z  c001  failed in fetch  boot b-2
  STAGE START s  TIME s
  dhcp      0.0     1.0  |==========                              |  10.77.0.131
  fetch     1.0     3.0  |          !!!!!!!!!!!!!!!!!!!!!!!!!!!!!!|
  failed: layer 1 does not verify [blob-corrupt]
  fix: import it again
`;
  expect(await muster("node boots c001")).toBe(`$ muster node boots c001
${head}  the end of its kernel log: --kernel-log
[0]
`);
  expect(await muster("node boots c001 --kernel-log")).toBe(`$ muster node boots c001 --kernel-log
${head}  end of the kernel log:
    one
    two?[2J
[0]
`);
  expect(await muster("node boots c002")).toContain("[4]");
});

it("follows events until Ctrl-C", async () => {
  site.happen({
    severity: "warning",
    kind: "dnsmasq-exited",
    what: "dnsmasq ended with 1",
    fix: "it is started again",
  });
  const stop = new AbortController();
  let lines = 0;
  const shown = await muster("events --follow", {
    signal: stop.signal,
    out: () => {
      lines += 1;
      if (lines === 1)
        site.happen({ severity: "info", kind: "node-ready", node: "c001", what: "c001 is ready" });
      else stop.abort();
    },
  });
  expect(shown).toBe(`$ muster events --follow
2026-11-20 12:00:00Z  warning  dnsmasq-exited  -  dnsmasq ended with 1
    fix: it is started again
2026-11-20 12:00:00Z  info     node-ready  c001  c001 is ready
[0]
`);
});

it("fails when doctor finds something that keeps nodes from booting", async () => {
  site.findings.push(
    { check: "clock", status: "ok", what: "in step" },
    { check: "port-http", status: "error", what: "port 9880 is taken by nginx", fix: "set ports.http" },
  );
  expect(await muster("doctor")).toBe(`$ muster doctor
error    port-http: port 9880 is taken by nginx
         fix: set ports.http
ok       clock: in step
2> 1 error, 0 warnings
[3]
`);
});

it("looks at this host by itself when musterd does not answer", async () => {
  const env = { MUSTER_SOCKET: "/nonexistent/control.sock" };
  expect(await muster("doctor --config /nonexistent/muster.yaml", { env })).toBe(
    `$ muster doctor --config /nonexistent/muster.yaml
2> musterd does not answer; this is what this host looks like without it
error    musterd: cannot reach musterd at /nonexistent/control.sock: there is no such socket
         fix: start it with systemctl start musterd (its log: journalctl -u musterd)
error    config: cannot read /nonexistent/muster.yaml: ENOENT: no such file or directory, open '/nonexistent/muster.yaml'
         fix: start from the example that comes with muster (muster.yaml), or give another file with --config
2> 2 errors, 0 warnings
[3]
`,
  );
  const directory = await mkdtemp(join(tmpdir(), "muster-doctor-cli-"));
  const config = join(directory, "muster.yaml");
  const paths = `paths: { state: ${directory}/state, runtime: ${directory}/run, artifacts: ${directory}/none }`;
  await writeFile(
    config,
    `controller: { address: 192.0.2.99 }\nnetwork: { subnet: 192.0.2.0/24 }\ndhcp: { range: 192.0.2.100-192.0.2.120 }\n${paths}\n`,
  );
  const answer = await muster(`doctor --config ${config}`, { env });
  await rm(directory, { recursive: true });
  expect(answer).toContain("error    musterd: cannot reach musterd");
  expect(answer).toContain("error    address: no interface has the controller's address 192.0.2.99\n");
  expect(answer).toContain(`error    initramfs: base-zstd.cpio is missing in ${directory}/none\n`);
  expect(answer).toMatch(/\[3\]\n$/);
});

it("completes commands, options, choices and the names the controller has", async () => {
  await muster("node add c[001-002],login");
  const complete = async (words: string): Promise<string> => muster(`__complete -- ${words}`);
  expect(await complete("no")).toBe("$ muster __complete -- no\nnode\nnodeset\n[0]\n");
  expect(await complete("node show c")).toBe("$ muster __complete -- node show c\nc001\nc002\n[0]\n");
  expect(await complete("node list --st")).toBe("$ muster __complete -- node list --st\n--state\n[0]\n");
  expect(await complete("node list --state r")).toBe(
    "$ muster __complete -- node list --state r\nready\n[0]\n",
  );
  expect(await muster("__complete -- node show c", { env: { MUSTER_SOCKET: "/nonexistent" } })).toBe(
    "$ muster __complete -- node show c\n[0]\n",
  );
  expect(await muster("completion bash")).toContain("complete -o default -F _muster muster");
});

describe("images", () => {
  const blob = (digit: string) => ({ digest: digestOfHex(digit.repeat(64)), sizeBytes: 1_000_000 });

  it("are listed with what nodes boot, and moved back by their channel", async () => {
    for (const digit of ["1", "2"]) {
      await site.deps.inventory.addImageVersion(
        {
          image: "debian12",
          kernelRelease: `6.1.0-${digit}`,
          architecture: "x86_64",
          features: { initramfsCompression: "zstd", squashfsCompression: "zstd" },
          kernel: blob(digit),
          modules: blob(digit),
          layers: [blob(digit)],
          source: "/srv/debian12",
        },
        { user: "root" },
      );
    }
    expect(await muster("image list")).toBe(`$ muster image list
NAME      STABLE  VERSIONS  KERNEL   ARCH      SIZE  CREATED
debian12  v2             2  6.1.0-2  x86_64  3.0 MB  2026-11-20 12:00:00Z
[0]
`);
    expect(
      await muster("image channel set debian12 stable v1"),
    ).toBe(`$ muster image channel set debian12 stable v1
2> debian12 stable is v1; nodes take it at their next boot
[0]
`);
    expect(await muster("image show debian12")).toBe(`$ muster image show debian12
VERSION  CHANNELS  KERNEL   ARCH      SIZE  LAYERS        CREATED               SOURCE
v2       -         6.1.0-2  x86_64  3.0 MB  222222222222  2026-11-20 12:00:00Z  /srv/debian12
v1       stable    6.1.0-1  x86_64  3.0 MB  111111111111  2026-11-20 12:00:00Z  /srv/debian12
[0]
`);
    expect(await muster("image delete debian12 --version 2", { ask: async () => "y" })).toBe(
      "$ muster image delete debian12 --version 2\n2> deleted version v2 of image debian12\n[0]\n",
    );
  });

  it("refuses to import a tree without a kernel, and says so once", async () => {
    const tree = await mkdtemp(join(tmpdir(), "muster-tree-"));
    await mkdir(join(tree, "etc"));
    const answer = await muster(`image import ${tree} --name empty`);
    await rm(tree, { recursive: true });
    expect(answer).toMatch(/\n2> muster: .*\n(2> {3}fix: .*\n)?\[3\]\n$/);
    expect(answer.match(/muster: /g)).toHaveLength(1);
  });
});

describe("a controller elsewhere", () => {
  it("is spoken to with a token, and only when the pinned authority vouches for it", async () => {
    const { authority } = site;
    const other = await openCertificateAuthority(join(site.directory, "other"), () => new Date());
    const { certPem, keyPem } = await authority.issueServer({ names: ["head"], addresses: ["127.0.0.1"] });
    const remote = await createApi(site.deps, { by: "token", certificatePem: certPem, keyPem });
    const port = await listenOnAddress(remote, "127.0.0.1", 0);
    const token = (await muster("token create ci -o json")).match(/muster_[\w-]+/)?.[0] ?? "";
    const env = { MUSTER_CONTROLLER: `https://127.0.0.1:${port}`, MUSTER_TOKEN: token };
    const right = { ...env, MUSTER_CA: authority.fingerprint };
    expect(await muster("-o json overlay list", { env: right })).toContain('"name": "site"');
    expect(await muster("node add c001", { env: right })).toContain("change 1: 1 node c001;");
    expect(await muster("node list", { env: { ...right, MUSTER_TOKEN: "muster_other" } })).toMatch(
      /muster: the token is not one of this controller\n.*\n\[6\]\n$/,
    );
    expect(await muster("node list", { env: { ...env, MUSTER_CA: other.fingerprint } })).toMatch(
      /muster: https:\/\/127\.0\.0\.1:\d+ is not certified by the authority .*\n.*\n\[6\]\n$/,
    );
    expect(await muster("node list", { env })).toMatch(
      /muster: cannot reach .*certificate.*\n.*--ca-fingerprint.*\n\[6\]\n$/,
    );
    await remote.close();
    expect(await muster("node list", { env: right })).toMatch(
      /muster: cannot reach .*ECONNREFUSED.*\n.*\n\[7\]\n$/,
    );
  });
});

it("describes every command and every option", () => {
  const program = buildProgram(
    () => {
      throw new Error("no command runs here");
    },
    () => undefined,
  );
  const undescribed = (command: Command): readonly string[] => [
    ...(command.description() === "" && command.name() !== "__complete" ? [command.name()] : []),
    ...command.options.filter((option) => option.description === "").map((option) => option.flags),
    ...command.commands.flatMap(undescribed),
  ];
  expect(undescribed(program)).toEqual([]);
});
