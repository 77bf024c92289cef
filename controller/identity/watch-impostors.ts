import type { NodeName } from "#proto/contract/node-name.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { Telemetry } from "../events/telemetry.ts";
import type { Author, Inventory, NodeAlert } from "../inventory/inventory.ts";
import type { Fleet } from "../sessions/fleet.ts";
import { parsePrintable } from "../sessions/parse-boot-report.ts";

/** Somebody wanted to be a node that is somebody else. */
export interface ImpostorAttempt {
  readonly node: NodeName;
  readonly address: string;
  /** What it claimed with, as the end of the sentence "... with a one-time token". Never the thing itself. */
  readonly presented: string;
  readonly mac?: string;
  readonly smbiosUuid?: string;
  readonly serial?: string;
}

/** Tells people of impostors, and remembers which nodes had one. */
export interface ImpostorWatch extends Disposable {
  /** Never throws; the same attempt again is told once in ten minutes. */
  readonly seen: (attempt: ImpostorAttempt) => void;
  /** What was told is settled. Returns the nodes that had an alert. */
  clear(names: readonly NodeName[], author: Author): Promise<readonly NodeName[]>;
}

const REPEAT_MS = 10 * 60_000;
const MAX_REMEMBERED = 10_000;
/** An alert goes by itself when nothing more was seen for this long. */
const ALERT_MS = 24 * 3600_000;
const SWEEP_MS = 10 * 60_000;
const MAX_FACT = 64;

/**
 * Alerts are kept in the inventory, not in the history: one that nobody has settled must not be lost with it. They
 * are shown with the node's status.
 */
export async function watchImpostors(parts: {
  readonly inventory: Pick<Inventory, "putAlert" | "listAlerts" | "clearAlerts">;
  readonly telemetry: Pick<Telemetry, "recordEvent">;
  readonly fleet: Pick<Fleet, "alerted">;
  readonly now: () => Date;
  readonly onBug: (error: unknown, where: string) => void;
}): Promise<ImpostorWatch> {
  const { inventory, telemetry, fleet, now } = parts;
  const alerts = new Map<NodeName, NodeAlert>();
  const told = new Map<string, number>();
  let written: Promise<unknown> = Promise.resolve();
  const clear = async (names: readonly NodeName[], author: Author): Promise<readonly NodeName[]> => {
    // An alert on its way to the disk must not arrive after it was cleared.
    await written;
    const stored = new Set((await inventory.clearAlerts(names, author)).map(({ node }) => node));
    // One that could not be written is shown all the same, and one of a node that was deleted is only here.
    const cleared = names.filter((node) => alerts.delete(node) || stored.has(node));
    for (const node of cleared) fleet.alerted(node, undefined);
    // The next attempt is news again.
    if (cleared.length > 0) told.clear();
    return cleared;
  };
  const sweep = async (): Promise<void> => {
    const past = now().getTime() - ALERT_MS;
    const old = [...alerts.values()].filter(({ at }) => at.getTime() <= past).map(({ node }) => node);
    if (old.length > 0) await clear(old, { user: "musterd", reason: "no new attempt for a day" });
  };

  for (const alert of await inventory.listAlerts()) {
    alerts.set(alert.node, alert);
    fleet.alerted(alert.node, alert);
  }
  await sweep();
  const timer = setInterval(() => {
    sweep().catch((error: unknown) => {
      parts.onBug(error, "impostor alerts");
    });
  }, SWEEP_MS).unref();

  return {
    clear: async (names, author) => {
      const cleared = await clear(names, author);
      if (cleared.length > 0) {
        telemetry.recordEvent({
          severity: "info",
          kind: "alert-cleared",
          what: `alerts of ${foldNodeSet(cleared)} cleared by ${author.user}`,
        });
      }
      return cleared;
    },
    seen: (attempt) => {
      const { node, address, presented } = attempt;
      const at = now();
      const key = `${node} ${address} ${presented}`;
      if (at.getTime() - (told.get(key) ?? -Infinity) < REPEAT_MS) return;
      if (told.size >= MAX_REMEMBERED) told.clear();
      told.set(key, at.getTime());
      const what = renderAttempt(attempt);
      telemetry.recordEvent({
        severity: "error",
        kind: "impostor",
        node,
        what,
        fix: `find the machine by the switch port of its MAC address, or who on ${node} did it; then muster node clear-alert ${node}`,
      });
      const alert: NodeAlert = { node, kind: "impostor", what, at };
      alerts.set(node, alert);
      fleet.alerted(node, alert);
      // Deleted meanwhile, or a full disk: the event is there, and the memory of this process.
      written = Promise.all([written, inventory.putAlert(alert).catch(() => undefined)]);
    },
    [Symbol.dispose]: () => {
      clearInterval(timer);
    },
  };
}

function renderAttempt({ node, address, presented, mac, smbiosUuid, serial }: ImpostorAttempt): string {
  const facts = [
    mac,
    smbiosUuid === undefined || smbiosUuid === "" ? undefined : `SMBIOS UUID ${smbiosUuid}`,
    serial === undefined || serial === "" ? undefined : `serial ${serial}`,
  ].flatMap((fact) => (fact === undefined ? [] : [parsePrintable(fact, MAX_FACT)]));
  const machine = facts.length === 0 ? "" : ` (${facts.join(", ")})`;
  return `${address}${machine} claimed to be ${node}, which it is not, with ${presented}`;
}
