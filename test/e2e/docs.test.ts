import { mkdir, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { type CommandResult, runCommandUnchecked } from "#proto/host/run-command.ts";

import { type ControllerProcess, startController } from "../lab/controller-process.ts";
import { makeDebianTree } from "../lab/debian-image.ts";
import { openLab } from "../lab/open-lab.ts";
import { DIST, writeOverlay } from "./cluster.ts";

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Lines that are no muster command, each with who runs it. A line that is not here has no test: add one. */
const RUN_ELSEWHERE: Readonly<Record<string, string>> = {
  "npm run demo": "test/e2e/demo.test.ts",
  "npm test": "whoever runs this test",
  "npm run build": "test/run-all.ts, before this test",
  "npm run bench": "test/bench, by hand: its figures mean nothing while tests run",
  "sh packaging/install.sh": "below, into a tree of its own",
  "systemctl enable --now musterd muster-dnsmasq": "test/e2e/head-node.test.ts starts both units' commands",
};

interface DocumentedLine {
  /** "docs/install.md:10" */
  readonly at: string;
  readonly line: string;
}

test("every muster command in the documentation works, in the order it is read", async () => {
  await using lab = await openLab({ name: "docs" });
  const controller = await startController(lab, { dist: DIST });
  const tree = await makeDebianTree(PROJECT);
  await writeOverlay({ controller }, "motd", [{ path: "etc/motd", text: "a node of the lab\n" }]);
  // what is written to a file must not be written over the controller's own
  const home = join(lab.directory, "home");
  await mkdir(home);
  const lines = (await readDocumentedLines()).filter(({ line }) => line.startsWith("muster "));
  expect(lines.length).toBeGreaterThan(20);
  for (const { at, line } of lines) {
    const here = line
      .replaceAll("/srv/images/debian12", tree)
      .replaceAll("/etc/muster/muster.yaml", controller.configPath);
    const { exitCode, stdout, stderr } = await runAsTyped(controller, here, home);
    expect(
      exitCode,
      `${at}: ${line}\n${stdout}${stderr}\nmusterd says:\n${controller.log.slice(-2000)}`,
    ).toBe(0);
  }
});

test("what the documentation shows besides muster commands is run by a test", async () => {
  const lines = (await readDocumentedLines()).filter(({ line }) => !line.startsWith("muster "));
  // Options of an npm script are the script's affair.
  expect(lines.filter(({ line }) => !(line.replace(/ -- .*/, "") in RUN_ELSEWHERE))).toEqual([]);
});

test("README.md links to every document", async () => {
  const readme = await readFile(join(PROJECT, "README.md"), "utf8");
  const documents = (await readdir(join(PROJECT, "docs"))).filter((name) => name.endsWith(".md"));
  expect(documents.filter((name) => !readme.includes(`(docs/${name})`))).toEqual([]);
});

test("install.sh installs programs that run, units, and an example that is kept at an update", async () => {
  const root = await mkdtemp(join(tmpdir(), "muster-install-"));
  try {
    const install = (): Promise<CommandResult> =>
      runCommandUnchecked({
        program: "sh",
        args: ["packaging/install.sh"],
        cwd: PROJECT,
        env: { ...process.env, DESTDIR: root },
        deadlineMs: 60_000,
      });
    expect(await install()).toMatchObject({ exitCode: 0, stderr: "" });
    const muster = join(root, "usr/bin/muster");
    const version = await runCommandUnchecked({ program: muster, args: ["version"] });
    expect(version).toMatchObject({ exitCode: 0, stderr: "" });
    expect(version.stdout).toMatch(/^muster \d+\.\d+\.\d+\n$/);
    const example = join(root, "etc/muster/muster.yaml");
    expect(await runCommandUnchecked({ program: muster, args: ["config", "check", example] })).toMatchObject({
      exitCode: 0,
    });
    expect((await readdir(join(root, "usr/lib/systemd/system"))).sort()).toEqual([
      "muster-dnsmasq.service",
      "musterd.service",
    ]);
    expect((await readdir(join(root, "usr/lib/muster/artifacts"))).sort()).toEqual([
      "agent.json",
      "agent.zst",
      "base-gzip.cpio",
      "base-zstd.cpio",
    ]);
    const before = await stat(example);
    expect(await install()).toMatchObject({ exitCode: 0, stderr: "" });
    expect((await stat(example)).mtimeMs).toBe(before.mtimeMs);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});

/** The line in a shell, as somebody types it who has just installed muster. */
function runAsTyped(controller: ControllerProcess, line: string, directory: string): Promise<CommandResult> {
  return runCommandUnchecked({
    program: "sh",
    args: ["-c", line],
    cwd: directory,
    env: {
      ...process.env,
      PATH: `${DIST}:${process.env["PATH"] ?? ""}`,
      MUSTER_SOCKET: controller.socketPath,
    },
    deadlineMs: 120_000,
  });
}

/** README.md, then what it links to, in its order: that in which it is read, and in which each may use what came before. */
async function readDocumentedLines(): Promise<readonly DocumentedLine[]> {
  const read = (path: string): Promise<string> => readFile(join(PROJECT, path), "utf8");
  const linked = [...(await read("README.md")).matchAll(/\((docs\/[a-z-]+\.md)\)/g)].map(
    ([, path = ""]) => path,
  );
  const documents = ["README.md", ...new Set(linked)];
  const texts = await Promise.all(documents.map(read));
  return documents.flatMap((path, index) => findShellLines(path, texts[index] ?? ""));
}

/** The lines of all ```sh blocks of a document, without comments and empty lines. */
function findShellLines(path: string, text: string): readonly DocumentedLine[] {
  let language: string | undefined;
  return text.split("\n").flatMap((line, index) => {
    if (line.startsWith("```")) {
      language = language === undefined ? line.slice(3).trim() : undefined;
      return [];
    }
    if (language !== "sh" || line.trim() === "" || line.startsWith("#")) return [];
    return [{ at: `${path}:${index + 1}`, line: line.replace(/\s+#.*$/, "").trimEnd() }];
  });
}
