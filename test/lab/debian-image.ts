import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { runCommand } from "#proto/host/run-command.ts";

import { parseAptSources, renderAptSources } from "./parse-apt-sources.ts";
import { readStartTime } from "./process-identity.ts";

/** The Debian release where the host is not a Debian that could say. */
const FALLBACK_CODENAME = "bookworm";

const PACKAGES = [
  "systemd",
  "systemd-sysv",
  "udev",
  "dbus",
  "iproute2",
  "openssh-server",
  "linux-image-cloud-amd64",
];

/** Never wanted in an image that lives in RAM; `path-exclude` as dpkg.cfg(5) has it. */
const EXCLUDED_PATHS = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*"];

/**
 * Run by mmdebstrap with the tree as $1. Whatever identifies a machine goes: a node gets that from muster.
 * Timers and consoles that a node in a lab has no use for cost seconds of a boot under emulation.
 */
const CUSTOMIZE = `set -eu
root=$1
rm -f "$root"/boot/initrd* "$root"/initrd.img* "$root"/etc/ssh/ssh_host_* "$root"/etc/hostname
rm -f "$root"/etc/resolv.conf "$root"/var/lib/dbus/machine-id
: > "$root"/etc/machine-id
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log "$root"/var/log/apt
rm -f "$root"/etc/apt/apt.conf.d/99mmdebstrap
chroot "$root" passwd --lock root >/dev/null
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \\
            e2scrub_reap.service getty@tty1.service systemd-networkd-wait-online.service \\
            systemd-pstore.service; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
chroot "$root" systemctl --quiet enable systemd-networkd.service serial-getty@ttyS0.service
mkdir -p "$root"/etc/systemd/journald.conf.d "$root"/etc/systemd/system.conf.d
printf '[Journal]\\nStorage=volatile\\nRuntimeMaxUse=16M\\n' > "$root"/etc/systemd/journald.conf.d/lab.conf
printf '[Manager]\\nDefaultTimeoutStopSec=10s\\n' > "$root"/etc/systemd/system.conf.d/lab.conf
`;

/**
 * A small Debian tree with a kernel, as root file system of the lab's nodes: its directory, below `.cache` of
 * the project. Made by mmdebstrap from the mirrors that apt uses on this host (half a minute), and kept until
 * the recipe changes. Two at once do not disturb each other.
 */
export async function makeDebianTree(
  projectRoot: string,
  options: {
    /** Besides those every node has. */
    readonly morePackages?: readonly string[];
    readonly onStep?: (step: string) => void;
    readonly signal?: AbortSignal;
  } = {},
): Promise<string> {
  const { codename, sources } = await readHostSources();
  const cache = join(projectRoot, ".cache");
  const packages = [...PACKAGES, ...(options.morePackages ?? [])];
  const tree = join(cache, `debian-${await recipeHash(codename, packages)}`);
  if (await isThere(tree)) return tree;
  await mkdir(cache, { recursive: true });
  await removeAbandoned(cache);
  options.onStep?.(`make a small Debian (${codename}) with mmdebstrap`);
  const work = `${tree}.${process.pid}.tmp`;
  try {
    await mkdir(work);
    await bootstrap(work, { codename, sources, packages }, options.signal);
    await rename(join(work, "tree"), tree).catch(async (error: unknown) => {
      // Somebody else was faster with the same recipe.
      if (!(await isThere(tree))) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return tree;
}

async function bootstrap(
  work: string,
  recipe: { readonly codename: string; readonly sources: string; readonly packages: readonly string[] },
  signal?: AbortSignal,
): Promise<void> {
  const { codename, sources, packages } = recipe;
  const hook = join(work, "customize");
  await writeFile(hook, CUSTOMIZE);
  const mirrors = join(work, "sources.list");
  await writeFile(mirrors, sources);
  const aptOptions = await readHostAptOptions();
  await runCommand(
    {
      program: "mmdebstrap",
      args: [
        ...["--quiet", "--mode=root", "--variant=minbase", `--include=${packages.join(",")}`],
        ...aptOptions.map((option) => `--aptopt=${option}`),
        ...EXCLUDED_PATHS.map((path) => `--dpkgopt=path-exclude=${path}`),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        `--customize-hook=sh '${hook}' "$1"`,
        ...["--format=directory", codename, join(work, "tree")],
        ...(sources === "" ? [] : [mirrors]),
      ],
      // INITRD=No: the kernel package builds no initrd, which takes longer than all the rest here.
      env: { ...process.env, INITRD: "No", LC_ALL: "C.UTF-8" },
      deadlineMs: 900_000,
    },
    signal,
  );
}

/** What decides over the bytes of the tree, the packages' versions apart. */
async function recipeHash(codename: string, packages: readonly string[]): Promise<string> {
  // In a user namespace the files belong to other users, so such a tree is another one.
  const users = await readFile("/proc/self/uid_map", "utf8");
  const recipe = [codename, ...packages, ...EXCLUDED_PATHS, CUSTOMIZE, users.replaceAll(/\s+/g, " ")];
  return createHash("sha256").update(JSON.stringify(recipe)).digest("hex").slice(0, 12);
}

/** The host's own archives, as sources.list; empty (mmdebstrap's default) on anything but Debian. */
async function readHostSources(): Promise<{ readonly codename: string; readonly sources: string }> {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const codename = /^VERSION_CODENAME="?([\w-]+)/m.exec(release)?.[1];
  if (!/^ID="?debian"?$/m.test(release) || codename === undefined) {
    return { codename: FALLBACK_CODENAME, sources: "" };
  }
  const directory = "/etc/apt/sources.list.d";
  const names = await readdir(directory).catch(() => []);
  const paths = [
    "/etc/apt/sources.list",
    ...names.filter((name) => /\.(list|sources)$/.test(name)).map((name) => join(directory, name)),
  ];
  const texts = await Promise.all(paths.map((path) => readFile(path, "utf8").catch(() => "")));
  const found = texts.flatMap((text) => parseAptSources(text, codename));
  return { codename, sources: renderAptSources(found) };
}

/** Proxies, and leniency about dates (a frozen mirror), that the host's apt is told to use. */
async function readHostAptOptions(): Promise<readonly string[]> {
  const { stdout } = await runCommand({
    program: "apt-config",
    args: ["dump", "Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until"],
  }).catch(() => ({ stdout: "" }));
  return stdout.split("\n").filter((line) => /^Acquire::\S+ ".+";$/.test(line));
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** Removes half-made trees whose maker is gone. */
async function removeAbandoned(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    const pid = /^debian-.*\.(\d+)\.tmp$/.exec(name)?.[1];
    if (pid === undefined || (await readStartTime(Number(pid))) !== undefined) continue;
    await rm(join(cache, name), { recursive: true, force: true });
  }
}
