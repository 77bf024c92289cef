import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseDhcpAnswer } from "../netboot/parse-dhcp-answer.ts";
import { renderDhcpDiscover } from "../netboot/render-dhcp-discover.ts";

/**
 * Asks the boot network for an address, takes none, and tells who offered one. Needs port 68, so root or
 * CAP_NET_BIND_SERVICE. `broadcast`: of the boot network, so that the question leaves by its interface.
 */
export async function findDhcpServers(
  broadcast: string,
  waitMs: number,
  signal?: AbortSignal,
): Promise<{ readonly servers: readonly string[] } | { readonly notChecked: string }> {
  const servers = new Set<string>();
  const transaction = randomBytes(4).readUInt32BE();
  // Locally administered, so that it is no machine's.
  const mac = parseMacAddress(`02:${randomBytes(5).toString("hex").match(/../g)?.join(":") ?? ""}`);
  // Beside a DHCP client of this host: broadcasts reach both.
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.on("message", (bytes, from) => {
        const answer = parseDhcpAnswer(bytes);
        // Offers without an address are a proxy's, which gives none.
        if (answer?.transaction === transaction && answer.yourAddress !== "0.0.0.0")
          servers.add(answer.server ?? from.address);
      });
      socket.bind(68, () => {
        socket.setBroadcast(true);
        socket.send(renderDhcpDiscover({ mac, transaction }), 67, broadcast, (error) => {
          if (error !== null) reject(error);
        });
      });
      const timer = setTimeout(resolve, waitMs);
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
    return { servers: [...servers].sort() };
  } catch (error) {
    return { notChecked: error instanceof Error ? error.message : String(error) };
  } finally {
    socket.close();
  }
}
