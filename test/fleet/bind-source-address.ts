import { AsyncLocalStorage } from "node:async_hooks";
import { Socket, type TcpNetConnectOpts } from "node:net";

const sources = new AsyncLocalStorage<string>();

/**
 * Runs `task` so that every TCP connection it opens, now or later, comes from `address`: thousands of nodes in one
 * process each have their own, as tokens and rate limits want it. grpc-js has no option for that.
 */
export function withSourceAddress<T>(address: string, task: () => T): T {
  patch();
  return sources.run(address, task);
}

let isPatched = false;

function patch(): void {
  if (isPatched) return;
  isPatched = true;
  // Reflect: the method is put back on the prototype and called with its own `this`.
  const connect = Reflect.get(Socket.prototype, "connect") as (...args: unknown[]) => Socket;
  Reflect.set(Socket.prototype, "connect", function (this: Socket, ...args: unknown[]): Socket {
    const localAddress = sources.getStore();
    // net.connect() and http hand over what net's own normalizeArgs made: an array that begins with the options.
    const options = (Array.isArray(args[0]) ? args[0][0] : args[0]) as Partial<TcpNetConnectOpts> | undefined;
    if (localAddress !== undefined && typeof options === "object" && options.port !== undefined) {
      options.localAddress ??= localAddress;
    }
    return connect.apply(this, args);
  });
}
