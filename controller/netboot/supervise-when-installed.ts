import { setTimeout as delay } from "node:timers/promises";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { gatherDnsmasqFacts } from "./gather-dnsmasq-facts.ts";
import { type DnsmasqEffects, type DnsmasqSupervisor, superviseDnsmasq } from "./supervise-dnsmasq.ts";

/** Somebody installs a package: nobody waits longer than this for it to be noticed. */
const LOOK_AGAIN_MS = 10_000;

/**
 * {@link superviseDnsmasq}, also on a host whose dnsmasq is missing: that is an event and is looked for again, since
 * nodes that are up need their controller, whoever removed the package. Everything else is thrown.
 */
export async function superviseWhenInstalled(
  effects: Omit<DnsmasqEffects, "facts">,
  signal: AbortSignal,
  lookAgainMs = LOOK_AGAIN_MS,
): Promise<Pick<DnsmasqSupervisor, "hostsChanged"> & AsyncDisposable> {
  const ending = new AbortController();
  const isEnding = (): boolean => until.aborted;
  const until = AbortSignal.any([signal, ending.signal]);
  let supervisor: DnsmasqSupervisor | undefined;
  const start = async (): Promise<void> => {
    supervisor = await superviseDnsmasq(
      { ...effects, facts: await gatherDnsmasqFacts(effects.config, until) },
      signal,
    );
  };
  const tell = (error: unknown): void => {
    effects.onEvent({
      severity: "error",
      kind: "dnsmasq-missing",
      what: `no node can boot, for nothing answers DHCP and TFTP: ${errorSentence(error)}`,
      fix: "install dnsmasq (apt-get install dnsmasq-base, or dnf install dnsmasq), or set dhcp.program in muster.yaml; musterd notices by itself",
    });
  };
  const retry = async (): Promise<void> => {
    while (!isEnding() && supervisor === undefined) {
      await delay(lookAgainMs, undefined, { signal: until }).catch(() => undefined);
      if (isEnding()) return;
      await start().catch((error: unknown) => {
        // Said once; that it is still missing is no news.
        if (!isMissing(error)) tell(error);
      });
    }
  };
  let looking: Promise<void> = Promise.resolve();
  await start().catch((error: unknown) => {
    if (!isMissing(error)) throw error;
    tell(error);
    looking = retry();
  });
  return {
    hostsChanged: () => supervisor?.hostsChanged(),
    [Symbol.asyncDispose]: async () => {
      ending.abort();
      await looking;
      await supervisor?.[Symbol.asyncDispose]();
    },
  };
}

function isMissing(error: unknown): boolean {
  return error instanceof MusterError && error.code === "program-missing";
}
