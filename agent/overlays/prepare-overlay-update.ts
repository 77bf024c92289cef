import { dirname } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import { type ContentStore, diskFull, isFull } from "./content-store.ts";
import { keepAside } from "./keep-aside.ts";
import { hasErrno, removeTree } from "./node-disk.ts";
import type { Staging, UpdatePlan } from "./update-plan.ts";
import type { RuntimeHost } from "./runtime-host.ts";
import type { StateFiles } from "./state-files.ts";

/** Left on each file system for others than us, so that an update cannot be what fills it to the last byte. */
const SPARE_BYTES = 1024 * 1024;

/**
 * Makes everything an update puts in place, complete, where nobody looks; keeps what it will cover. When this throws,
 * nothing on the node has changed. All contents must be in the store or at their places.
 */
export async function prepareOverlayUpdate(
  host: RuntimeHost,
  files: StateFiles,
  contents: ContentStore,
  plan: UpdatePlan,
): Promise<void> {
  requireNoProblems(plan);
  const besides = [...plan.stagings, ...plan.recoveries]
    .map(({ staged }) => staged)
    .filter((staged) => !staged.startsWith(`${files.staging}/`));
  const made = plan.stagings.flatMap(({ what }) => (what.kind === "file" ? [what] : []));
  contents.expect(made);
  await requireSpace(host, contents, plan);
  await files.writeBesides(besides);
  for (const place of plan.probes) await probe(host, files, place);
  for (const { from, name } of plan.saves) {
    await explained(from, () => keepAside(host.disk, from, `${files.covered}/${name}`));
  }
  for (const staging of plan.stagings) await explained(staging.place, () => stage(host, contents, staging));
  for (const { from, staged } of plan.recoveries) {
    await explained(staged, () => keepAside(host.disk, from, staged));
  }
  await setLabelsAndXattrs(host, plan.stagings);
  await host.disk.syncDirectory(files.staging);
  await host.disk.syncDirectory(files.covered);
}

/** Throws what keeps a plan from being carried out: better before anything is fetched for it. */
export function requireNoProblems({ problems }: UpdatePlan): void {
  if (problems.length > 0) throw refused(problems);
}

async function stage(host: RuntimeHost, contents: ContentStore, staging: Staging): Promise<void> {
  const { staged, what, attributes, place } = staging;
  switch (what.kind) {
    case "file":
      await contents.placeCopy(what, place, staged);
      break;
    case "symlink":
      await host.disk.symlink(what.target, staged);
      break;
    case "directory":
      await host.disk.makeDirectory(staged, 0o700);
      break;
    default:
      what satisfies never;
  }
  // In this order: chown clears set-id bits and file capabilities, which are an attribute and come last.
  await host.disk.lchown(staged, attributes.uid, attributes.gid);
  if (what.kind !== "symlink") await host.disk.chmod(staged, attributes.mode);
}

/** A replaced file keeps the label it had; a new one gets what the policy says of its place. */
async function setLabelsAndXattrs(host: RuntimeHost, stagings: readonly Staging[]): Promise<void> {
  const labels = await labelsFor(host, stagings);
  const all = stagings.map(({ staged, place, attributes: { xattrs } }) => {
    const label = labels.get(place);
    return [staged, label === undefined ? xattrs : { "security.selinux": label, ...xattrs }] as const;
  });
  await explained("extended attributes", () => host.disk.setXattrs(new Map(all)));
}

async function labelsFor(
  host: RuntimeHost,
  stagings: readonly Staging[],
): Promise<ReadonlyMap<string, string>> {
  const labels = new Map<string, string>();
  if (stagings.length === 0 || (await host.disk.lstat(host.paths.selinux)).type === "absent") return labels;
  const replaced = stagings.flatMap(({ labelFrom }) => labelFrom ?? []);
  for (const [place, xattrs] of await host.disk.readXattrs(replaced)) {
    const label = xattrs["security.selinux"];
    if (label !== undefined) labels.set(place, label);
  }
  const unlabelled = stagings.map(({ place }) => place).filter((place) => !labels.has(place));
  for (const [place, label] of await labelsOfPolicy(host, unlabelled)) labels.set(place, label);
  return labels;
}

/** matchpathcon(8): "PATH<tab>CONTEXT". Without it, or where the policy says nothing, the directory's label is inherited. */
async function labelsOfPolicy(
  host: RuntimeHost,
  places: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const labels = new Map<string, string>();
  for (let at = 0; at < places.length; at += 200) {
    const some = places.slice(at, at + 200);
    const answer = await host
      .run({ program: host.paths.programs.matchpathcon, args: ["--", ...some] })
      .catch((error: unknown) => {
        if (error instanceof MusterError && error.code === "program-missing") return undefined;
        throw error;
      });
    for (const line of answer?.stdout.split("\n") ?? []) {
      const [, path, context] = /^(.*)\t(\S+)$/.exec(line) ?? [];
      // The kernel keeps labels with their final zero byte.
      if (path !== undefined && context !== undefined && context !== "<<none>>") {
        labels.set(path, Buffer.from(`${context}\0`).toString("hex"));
      }
    }
  }
  return labels;
}

/** chattr +i is seen here, before anything was changed: an immutable file can have no second name either. */
async function probe(host: RuntimeHost, files: StateFiles, place: string): Promise<void> {
  const second = `${files.staging}/probe`;
  try {
    await host.disk.link(place, second);
  } catch (error) {
    if (hasErrno(error, "EPERM")) {
      const what = `${place} must not be changed: it is immutable or append-only`;
      throw new MusterError({
        code: "overlay-apply-failed",
        what,
        fix: `take that from the file (chattr -ia ${place}) or the file from the overlay`,
        cause: error,
      });
    }
    if (hasErrno(error, "EXDEV", "ENOENT", "EMLINK", "EOPNOTSUPP")) return;
    throw error;
  }
  await host.disk.unlink(second);
}

async function requireSpace(host: RuntimeHost, contents: ContentStore, plan: UpdatePlan): Promise<void> {
  const needed = new Map<string, number>();
  const moved = new Set<string>();
  for (const { staged, what } of plan.stagings) {
    if (what.kind !== "file") continue;
    // Once is free: what was fetched is moved, what is kept to repair with is small.
    if (!moved.has(what.digest) && (await contents.has(what.digest))) {
      moved.add(what.digest);
      continue;
    }
    const directory = dirname(staged);
    needed.set(directory, (needed.get(directory) ?? 0) + what.sizeBytes);
  }
  for (const [directory, bytes] of needed) await requireRoom(host, directory, bytes);
}

/** Throws `disk-full` when so many bytes more would fill the file system of a directory. */
export async function requireRoom(host: RuntimeHost, directory: string, bytes: number): Promise<void> {
  const available = await host.disk.availableBytes(directory);
  if (available < bytes + SPARE_BYTES) {
    throw diskFull(directory, `${bytes} bytes are needed, ${available} are free`);
  }
}

async function explained(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (isFull(error)) throw diskFull(what, "no space left", error);
    if (error instanceof MusterError) throw error;
    throw new MusterError({
      code: "overlay-apply-failed",
      what: `the runtime overlay cannot be made ready at ${what}; nothing was changed`,
      fix: "correct the overlay on the controller, or what is in its way on the node",
      cause: error,
    });
  }
}

function refused(problems: readonly string[]): MusterError {
  const more = problems.length > 5 ? `; and ${problems.length - 5} more` : "";
  return new MusterError({
    code: "overlay-apply-failed",
    what: `the runtime overlay does not fit this node: ${problems.slice(0, 5).join("; ")}${more}; nothing was changed`,
    fix: "correct the overlay on the controller, or what is in its way on the node",
  });
}

/** Forgets an update that was not begun: what was staged and kept for it. */
export async function forgetPreparation(
  host: RuntimeHost,
  files: StateFiles,
  keptNames: ReadonlySet<string>,
): Promise<void> {
  for (const beside of await files.readBesides()) await removeTree(host.disk, beside);
  for (const name of await host.disk.readdir(files.staging)) {
    await removeTree(host.disk, `${files.staging}/${name}`);
  }
  for (const name of await host.disk.readdir(files.covered)) {
    if (!keptNames.has(name)) await removeTree(host.disk, `${files.covered}/${name}`);
  }
}
