import { chmod, chown, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import type { BootView, EventView, NodeView, PendingView } from "../../controller/api/rest/schemas.ts";
import {
  type ControllerOptions,
  type ControllerProcess,
  startController,
} from "../lab/controller-process.ts";
import { makeDebianTree } from "../lab/debian-image.ts";
import { type Lab, openLab } from "../lab/open-lab.ts";
import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { waitFor } from "../lab/wait-for.ts";

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What `npm run build` left. */
export const DIST = join(PROJECT, "dist");
/** The image of every cluster. */
export const IMAGE = "debian12";
/** From power-on to ready under software emulation, two machines at once on two busy cores. */
export const BOOT_DEADLINE_MS = 150_000;

/** A lab with a controller that has an image: what a test of whole nodes starts from. */
export interface Cluster extends AsyncDisposable {
  readonly lab: Lab;
  readonly controller: ControllerProcess;
  /** The directory the image was imported from. */
  readonly tree: string;
}

/** Opens a lab, starts musterd in it and imports the Debian tree as {@link IMAGE}. */
export async function openCluster(options: Partial<ControllerOptions> = {}): Promise<Cluster> {
  await using undo = new AsyncDisposableStack();
  const lab = undo.use(await openLab({ name: "e2e" }));
  const tree = await makeDebianTree(PROJECT);
  const controller = await startController(lab, { dist: DIST, ...options });
  await controller.mustMuster(["image", "import", tree, "--name", IMAGE]);
  const resources = undo.move();
  return { lab, controller, tree, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** `muster node list -o json`. */
export async function listNodes({ controller }: Cluster): Promise<readonly NodeView[]> {
  return JSON.parse(await controller.mustMuster(["node", "list", "-o", "json"])) as NodeView[];
}

/** `muster node pending -o json`. */
export async function listPending({ controller }: Cluster): Promise<readonly PendingView[]> {
  return JSON.parse(await controller.mustMuster(["node", "pending", "-o", "json"])) as PendingView[];
}

/** `muster node boots NAME -o json`, newest first. */
export async function listBoots({ controller }: Cluster, name: string): Promise<readonly BootView[]> {
  return JSON.parse(await controller.mustMuster(["node", "boots", name, "-o", "json"])) as BootView[];
}

/** `muster events -o json`, oldest first. */
export async function listEvents({ controller }: Cluster): Promise<readonly EventView[]> {
  return JSON.parse(await controller.mustMuster(["events", "--limit", "500", "-o", "json"])) as EventView[];
}

/** The node as it is now. */
export function getNode({ controller }: Cluster, name: string): Promise<NodeView> {
  return controller.get<NodeView>(`/api/v1/nodes/${name}`);
}

/**
 * Waits until the node is ready - of another boot than `unlike`, when given - and its history says so too: boots
 * are written in batches. Returns the node.
 */
export async function waitForReady(
  cluster: Cluster,
  name: string,
  machine: VirtualMachine,
  unlike?: string,
): Promise<NodeView> {
  return waitFor(
    async () => {
      const node = await getNode(cluster, name);
      const { state, bootId } = node.status;
      if (state !== "ready" || bootId === unlike) return undefined;
      const { boots } = await cluster.controller.get<{ boots: readonly BootView[] }>(
        `/api/v1/boots?node=${name}&limit=1`,
      );
      return boots[0]?.bootId === bootId && boots[0]?.outcome === "ready" ? node : undefined;
    },
    {
      what: `${name} to be ready`,
      deadlineMs: BOOT_DEADLINE_MS,
      intervalMs: 500,
      instead: () => describeTrouble(cluster, machine),
    },
  );
}

/** The claim code of the machine with this MAC, once it waits for approval. */
export async function waitForPending(cluster: Cluster, machine: VirtualMachine): Promise<PendingView> {
  return waitFor(
    async () => {
      const { pending } = await cluster.controller.get<{ pending: readonly PendingView[] }>(
        "/api/v1/pending",
      );
      return pending.find(({ bootMac }) => bootMac === machine.spec.mac);
    },
    {
      what: `${machine.spec.name} to wait for approval`,
      deadlineMs: BOOT_DEADLINE_MS,
      intervalMs: 500,
      instead: () => describeTrouble(cluster, machine),
    },
  );
}

/** What a test that waited in vain shows: the ends of the console and of musterd's log. */
export async function describeTrouble(cluster: Cluster, machine: VirtualMachine): Promise<string> {
  const tail = (text: string, lines: number): string => text.trimEnd().split("\n").slice(-lines).join("\n");
  return [
    `--- console of ${machine.spec.name}`,
    tail(await machine.readConsole(), 40),
    "--- musterd",
    tail(cluster.controller.log, 20),
  ].join("\n");
}

/** What the agent and /init said on a console, without time stamps. */
export async function readMusterLines(machine: VirtualMachine): Promise<readonly string[]> {
  const found = (await machine.readConsole()).matchAll(/(?:^|\] )muster: (.*)$/gm);
  return [...found].map(([, line]) => line ?? "");
}

/** How often something stands on the console since power-on. */
export async function countOnConsole(machine: VirtualMachine, pattern: RegExp): Promise<number> {
  return [...(await machine.readConsole()).matchAll(pattern)].length;
}

/** A file of an overlay. */
export interface OverlayFile {
  /** Below rootfs/. */
  readonly path: string;
  readonly text?: string;
  readonly linkTo?: string;
  readonly mode?: number;
  readonly owner?: readonly [uid: number, gid: number];
}

/** Writes a static overlay where musterd looks for it; returns its rootfs. */
export async function writeOverlay(
  { controller }: Pick<Cluster, "controller">,
  name: string,
  files: readonly OverlayFile[],
): Promise<string> {
  const rootfs = join(controller.stateDirectory, "overlays", name, "rootfs");
  for (const { path, text, linkTo, mode, owner } of files) {
    const target = join(rootfs, path);
    await mkdir(dirname(target), { recursive: true });
    if (linkTo !== undefined) {
      await symlink(linkTo, target);
      continue;
    }
    await writeFile(target, text ?? "");
    if (owner !== undefined) await chown(target, ...owner);
    // After the owner: chown clears the set-user-id bit.
    await chmod(target, mode ?? 0o644);
  }
  return rootfs;
}
