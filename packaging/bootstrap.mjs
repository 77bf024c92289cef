// Makes a checkout runnable: the packages of package-lock.json, the pinned Node, the generated protocol
// code and, with `lab`, the system programs that building images and virtual machines takes.
//
//   node packaging/bootstrap.mjs        enough to build
//   node packaging/bootstrap.mjs lab    enough for the demo and the tests
//
// Plain JavaScript without dependencies, because it runs before anything is installed, on any Node >= 20.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const BIN = join(ROOT, "node_modules", ".bin");
const PINNED_NODE = join(BIN, "node");
const PINNED_MAJOR = 24;

/**
 * What the lab runs, tested by program or file and never by package name, since people also build from
 * source. `dnf` names are those of Enterprise Linux with EPEL.
 */
const ARM = process.arch === "arm64";
const LAB_NEEDS = [
  { program: "dnsmasq", apt: "dnsmasq-base", dnf: "dnsmasq" },
  {
    file: ["/usr/lib/ipxe/snponly.efi", "/usr/share/ipxe/ipxe-snponly-x86_64.efi"],
    apt: "ipxe",
    dnf: "ipxe-bootimgs",
  },
  {
    file: [
      "/usr/lib/ipxe/qemu/efi-virtio.rom",
      "/usr/share/ipxe.efi/1af41000.rom",
      "/usr/share/ipxe/1af41000.rom",
    ],
    apt: "ipxe-qemu",
    dnf: "ipxe-roms-qemu",
  },
  ARM
    ? {
        file: ["/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/edk2/aarch64/QEMU_EFI.fd"],
        apt: "qemu-efi-aarch64",
        dnf: "edk2-aarch64",
      }
    : {
        file: [
          "/usr/share/OVMF/OVMF_CODE_4M.fd",
          "/usr/share/OVMF/OVMF_CODE.fd",
          "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        ],
        apt: "ovmf",
        dnf: "edk2-ovmf",
      },
  {
    program: ARM ? "qemu-system-aarch64" : "qemu-system-x86_64",
    file: ["/usr/libexec/qemu-kvm"],
    apt: ARM ? "qemu-system-arm" : "qemu-system-x86",
    dnf: "qemu-kvm",
  },
  { program: "mksquashfs", apt: "squashfs-tools", dnf: "squashfs-tools" },
  { program: "busybox", isStatic: true, apt: "busybox-static", dnf: "busybox" },
  { program: "mmdebstrap", apt: "mmdebstrap", dnf: "mmdebstrap" },
  {
    file: ["/usr/share/keyrings/debian-archive-keyring.gpg"],
    apt: "debian-archive-keyring",
    dnf: "debian-keyring",
  },
  { program: "cpio", apt: "cpio", dnf: "cpio" },
  { program: "setfattr", apt: "attr", dnf: "attr" },
  { program: "setfacl", apt: "acl", dnf: "acl" },
  { program: "modinfo", apt: "kmod", dnf: "kmod" },
  { program: "zstd", apt: "zstd", dnf: "zstd" },
  { program: "xz", apt: "xz-utils", dnf: "xz" },
  { program: "strip", apt: "binutils", dnf: "binutils" },
  { program: "ip", apt: "iproute2", dnf: "iproute" },
  { program: "setcap", apt: "libcap2-bin", dnf: "libcap" },
  { program: "nsenter", apt: "util-linux", dnf: "util-linux" },
  { program: "script", apt: "bsdutils", dnf: "util-linux" },
  { program: "mount", apt: "mount", dnf: "util-linux" },
  { program: "openssl", apt: "openssl", dnf: "openssl" },
  // What muster-agent hardware is compared with.
  { program: "slurmd", apt: "slurmd", dnf: "slurm-slurmd" },
  // What node sets are compared with.
  { program: "nodeset", apt: "clustershell", dnf: "clustershell" },
  // What reads what muster exports.
  { program: "nodeattr", apt: "genders", dnf: "genders" },
  { program: "ansible-inventory", apt: "ansible-core", dnf: "ansible-core" },
  { program: "ssh-keygen", apt: "openssh-client", dnf: "openssh" },
  { program: "ssh", apt: "openssh-client", dnf: "openssh-clients" },
  // The tests start their own; a host that had none must not be open to the world because of them.
  { program: "sshd", apt: "openssh-server", dnf: "openssh-server", service: ["ssh.service", "sshd.service"] },
  // Anybody but root runs the lab in a user namespace with the users of /etc/subuid.
  ...(process.getuid?.() === 0 ? [] : [{ program: "newuidmap", apt: "uidmap", dnf: "shadow-utils" }]),
];

/** Ends the set-up with one sentence. */
function give(sentence) {
  process.stderr.write(`bootstrap: ${sentence}\n`);
  process.exit(1);
}

function say(line) {
  process.stderr.write(`bootstrap: ${line}\n`);
}

/** Runs a program quietly; its output is shown only when it fails. */
function mustRun(program, args, what, options = {}) {
  const ran = spawnSync(program, args, {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    ...options,
  });
  if (ran.status === 0) return;
  process.stderr.write(`${ran.stdout ?? ""}${ran.stderr ?? ""}`);
  const why = ran.error !== undefined ? ran.error.message : `exit status ${ran.status ?? ran.signal}`;
  give(`${what} failed (${[program, ...args].join(" ")}: ${why}); its output is above.`);
}

// npm's scripts put node_modules/.bin first, and `npm ci` deletes it: npm must run on the system's Node.
// The sbin directories hold dnsmasq, setcap and ip, and are not in every user's path.
const SYSTEM_PATH = [
  ...(process.env.PATH ?? "").split(delimiter),
  "/usr/local/sbin",
  "/usr/sbin",
  "/sbin",
].filter((directory) => directory !== "" && !directory.endsWith(join("node_modules", ".bin")));

function findProgram(name) {
  for (const directory of SYSTEM_PATH) {
    const path = join(directory, name);
    if (existsSync(path)) return path;
  }
  return undefined;
}

function checkHost() {
  if (process.platform !== "linux" || (process.arch !== "x64" && process.arch !== "arm64")) {
    give(`muster builds on Linux, x86-64 or arm64; this is ${process.platform} on ${process.arch}.`);
  }
  if (Number(process.versions.node.split(".")[0]) < 20) {
    give(`Node 20 or newer is needed to start with; this is ${process.version}.`);
  }
}

// Packages. npm writes node_modules/.package-lock.json when an install is complete, so comparing it with
// package-lock.json by content tells, whatever the checkout did to time stamps.

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages ?? {};
  } catch {
    return undefined;
  }
}

function packagesAreInstalled() {
  const wanted = readPackages(join(ROOT, "package-lock.json"));
  const installed = readPackages(join(ROOT, "node_modules", ".package-lock.json"));
  if (wanted === undefined)
    give("package-lock.json is missing or unreadable; check out the repository again.");
  if (installed === undefined || !existsSync(PINNED_NODE)) return false;
  const same = (one, other) =>
    one !== undefined &&
    other !== undefined &&
    one.version === other.version &&
    one.integrity === other.integrity;
  return (
    Object.entries(wanted).every(
      ([path, entry]) =>
        path === "" ||
        same(entry, installed[path]) ||
        (entry.optional === true && installed[path] === undefined),
    ) && Object.entries(installed).every(([path, entry]) => same(entry, wanted[path]))
  );
}

function installPackages() {
  if (packagesAreInstalled()) return;
  const npm = findProgram("npm");
  if (npm === undefined)
    give("npm is needed to install the packages of package-lock.json, and is not in PATH.");
  say("installing the packages of package-lock.json (npm ci)");
  // No package here needs its install script: binaries come as packages of their own.
  const args = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const options = { env: { ...process.env, PATH: SYSTEM_PATH.join(delimiter) } };
  const clean = spawnSync(npm, ["ci", ...args], { cwd: ROOT, encoding: "utf8", ...options });
  if (clean.status === 0) return;
  // A lock file written against a mirror without the packages of other platforms lacks them, and then
  // npm ci refuses it (npm 11: "Missing: ... from lock file") where npm install takes the same versions.
  if (!/npm (error|ERR!) code EUSAGE/.test(clean.stderr ?? "")) {
    process.stderr.write(`${clean.stdout ?? ""}${clean.stderr ?? ""}`);
    give("installing packages failed (npm ci); its output is above.");
  }
  mustRun(npm, ["install", "--no-save", ...args], "installing packages", options);
  if (!packagesAreInstalled()) {
    give("package.json and package-lock.json disagree; run npm install once and commit the lock file.");
  }
}

function checkPinnedNode() {
  const ran = spawnSync(PINNED_NODE, ["--version"], { encoding: "utf8" });
  const version = (ran.stdout ?? "").trim();
  if (ran.status === 0 && version.startsWith(`v${PINNED_MAJOR}.`)) return;
  const found =
    ran.error !== undefined ? ran.error.message : version || (ran.stderr ?? "").trim().split("\n").pop();
  give(
    `node_modules/.bin/node should be Node ${PINNED_MAJOR} (${found}); delete node_modules and run this again.`,
  );
}

// Protocol code: proto/muster/**/*.proto -> proto/gen/muster/**/*.ts

function protosAreGenerated() {
  const source = join(ROOT, "proto");
  const names = readdirSync(source, { recursive: true }).filter((name) => name.endsWith(".proto"));
  const settings = statSync(join(source, "buf.gen.yaml")).mtimeMs;
  return names.every((name) => {
    const generated = join(source, "gen", name.replace(/\.proto$/, ".ts"));
    if (!existsSync(generated)) return false;
    const { mtimeMs } = statSync(generated);
    return mtimeMs >= statSync(join(source, name)).mtimeMs && mtimeMs >= settings;
  });
}

function generateProtos() {
  if (protosAreGenerated()) return;
  say("generating protocol code from proto/muster");
  mustRun(PINNED_NODE, [join(ROOT, "packaging", "generate-protos.ts")], "generating protocol code", {
    env: { ...process.env, PATH: [BIN, ...SYSTEM_PATH].join(delimiter) },
  });
  // The generator may leave a file that came out the same untouched; then it would run every time.
  const now = new Date();
  const generated = join(ROOT, "proto", "gen");
  for (const name of readdirSync(generated, { recursive: true })) {
    if (name.endsWith(".ts")) utimesSync(join(generated, name), now, now);
  }
}

// System programs

/** Whether an ELF file has no interpreter: busybox goes into an initramfs without the host's libraries. */
function isStatic(path) {
  const elf = readFileSync(path);
  const programHeaders = Number(elf.readBigUInt64LE(32));
  const entrySize = elf.readUInt16LE(54);
  const INTERPRETER = 3; // PT_INTERP, elf(5)
  return !Array.from({ length: elf.readUInt16LE(56) }).some(
    (_, index) => elf.readUInt32LE(programHeaders + index * entrySize) === INTERPRETER,
  );
}

function isMet(need) {
  if (need.file !== undefined && need.file.some((path) => existsSync(path))) return true;
  if (need.program === undefined) return false;
  const path = findProgram(need.program);
  return path !== undefined && (need.isStatic !== true || isStatic(path));
}

/** Debian starts the services it installs; munge and slurmd are wanted as programs only (invoke-rc.d(8), policy-rc.d). */
function forbidServices() {
  const policy = "/usr/sbin/policy-rc.d";
  if (existsSync(policy)) return;
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  process.once("exit", () => rmSync(policy, { force: true }));
}

function installSystemPrograms() {
  const missing = LAB_NEEDS.filter((need) => !isMet(need));
  if (missing.length === 0) return;
  const managers = [
    {
      program: "apt-get",
      packages: "apt",
      refresh: ["-q", "update"],
      install: ["-q", "-y", "--no-install-recommends", "install"],
    },
    {
      program: "dnf",
      packages: "dnf",
      refresh: undefined,
      install: ["-q", "-y", "--setopt=install_weak_deps=False", "install"],
    },
  ];
  const manager = managers.find(({ program }) => findProgram(program) !== undefined);
  const names = [...new Set(missing.map((need) => need[manager?.packages ?? "dnf"]))];
  if (manager === undefined) {
    give(
      `the lab needs programs that are missing here, and neither apt-get nor dnf is; install: ${names.join(" ")}`,
    );
  }
  const { program, refresh, install } = manager;
  if (process.getuid() !== 0) {
    const command = [program, ...install.filter((word) => !/^-[qy]$/.test(word)), ...names].join(" ");
    give(`the lab needs programs that are missing here; install them with: sudo ${command}`);
  }
  say(`installing ${names.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", PATH: SYSTEM_PATH.join(delimiter) };
  if (program === "apt-get") forbidServices();
  if (refresh !== undefined) mustRun(findProgram(program), refresh, "refreshing the package lists", { env });
  mustRun(findProgram(program), [...install, ...names], "installing packages", { env });
  // Nor are they to start at the next boot.
  const services = missing.flatMap((need) => need.service ?? []);
  if (services.length > 0) spawnSync("systemctl", ["--quiet", "disable", ...services], { env });
  const left = LAB_NEEDS.filter((need) => !isMet(need)).map((need) => need.program ?? need.file[0]);
  if (left.length > 0) give(`still missing after installing their packages: ${left.join(", ")}.`);
}

const [scope, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (scope !== undefined && scope !== "lab")) {
  give("usage: node packaging/bootstrap.mjs [lab]");
}
checkHost();
installPackages();
checkPinnedNode();
generateProtos();
if (scope === "lab") installSystemPrograms();
