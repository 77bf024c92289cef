import { MusterError } from "#proto/contract/muster-error.ts";

/** Splits "host:port" or "[v6]:port"; throws `boot-arguments-invalid`. */
export function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const [, v6, name, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = v6 ?? name;
  const port = Number(digits);
  if (host !== undefined && port >= 1 && port <= 65_535) return { host, port };
  throw new MusterError({
    code: "boot-arguments-invalid",
    what: `${JSON.stringify(address)} is not the address of a controller`,
    fix: "it is written host:port; check `controller` in muster.yaml",
  });
}
