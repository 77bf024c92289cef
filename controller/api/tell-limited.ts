import type { Telemetry } from "../events/telemetry.ts";
import type { LimitedAddress } from "./admit-connections.ts";

const REPEAT_MS = 60_000;
const MAX_REMEMBERED = 10_000;

/** Makes an event of an address that was refused connections: one a minute for each address and port, whichever process refused it. */
export function tellLimited(
  telemetry: Pick<Telemetry, "recordEvent">,
  now: () => Date,
): (limited: LimitedAddress) => void {
  const told = new Map<string, number>();
  return ({ address, port }) => {
    const key = `${address} ${port}`;
    const nowMs = now().getTime();
    if (nowMs - (told.get(key) ?? -Infinity) < REPEAT_MS) return;
    if (told.size >= MAX_REMEMBERED) told.clear();
    told.set(key, nowMs);
    telemetry.recordEvent({
      severity: "warning",
      kind: "connections-limited",
      what: `${address} makes more connections to port ${port} than it may; further ones are refused`,
      fix: "look at what runs there; when many nodes share the address, raise limits.connectionsPerAddress in muster.yaml",
    });
  };
}
