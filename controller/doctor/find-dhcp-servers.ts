import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { setTimeout as delay } from "node:timers/promises";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseDhcpAnswer } from "../netboot/parse-dhcp-answer.ts";
import { renderDhcpDiscover } from "../netboot/render-dhcp-discover.ts";

/**
 * Asks the boot network for an address, takes none, and tells who offered one. Needs port 68, so root or
 * CAP_NET_BIND_SERVICE.
 *
 * `address`: of this host on the boot network. A question to 255.255.255.255 leaves by the interface of the address
 * it is sent from (Linux, ip_route_output_key); one to the network's own broadcast address would be ignored by Kea.
 */
export async function findDhcpServers(
  address: string,
  waitMs: number,
  signal?: AbortSignal,
): Promise<{ readonly servers: readonly string[] } | { readonly notChecked: string }> {
  const servers = new Set<string>();
  const transaction = randomBytes(4).readUInt32BE();
  // Locally administered, so that it is no machine's.
  const mac = parseMacAddress(`02:${randomBytes(5).toString("hex").match(/../g)?.join(":") ?? ""}`);
  // Beside a DHCP client of this host: broadcasts reach both.
  const asker = createSocket({ type: "udp4", reuseAddr: true });
  // A socket with an address receives no broadcasts.
  const listener = createSocket({ type: "udp4", reuseAddr: true });
  try {
    listener.on("message", (bytes, from) => {
      const answer = parseDhcpAnswer(bytes);
      // Offers without an address are a proxy's, which gives none.
      if (answer?.transaction === transaction && answer.yourAddress !== "0.0.0.0") {
        servers.add(answer.server ?? from.address);
      }
    });
    await bound(listener, "0.0.0.0");
    await bound(asker, address);
    asker.setBroadcast(true);
    await new Promise<void>((resolve, reject) => {
      asker.send(renderDhcpDiscover({ mac, transaction }), 67, "255.255.255.255", (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    await delay(waitMs, undefined, signal === undefined ? {} : { signal });
    return { servers: [...servers].sort() };
  } catch (error) {
    signal?.throwIfAborted();
    return { notChecked: error instanceof Error ? error.message : String(error) };
  } finally {
    asker.close();
    listener.close();
  }
}

function bound(socket: Socket, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(68, address, resolve);
  });
}
