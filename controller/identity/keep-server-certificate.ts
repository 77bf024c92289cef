import { X509Certificate } from "node:crypto";

import type { CertificateAuthority } from "./certificate-authority.ts";

/** A controller's certificate (and the authority's after it) with its key. */
export type ServerCertificate = Awaited<ReturnType<CertificateAuthority["issueServer"]>>;

/** The certificate this controller serves with, new in time. */
export interface KeptServerCertificate {
  readonly current: () => ServerCertificate;
  readonly expiresAt: () => Date;
  /** Called with each new certificate: connections made from then on are to be served with it. */
  readonly onRenewed: (listener: (certificate: ServerCertificate) => void) => void;
  /** Makes a new one when two thirds of the present one's life are over; returns whether. Asked once a day. */
  readonly renewIfDue: () => Promise<boolean>;
}

/** A musterd that runs for longer than its certificate lasts must not lock its nodes out. */
export async function keepServerCertificate(
  issue: () => Promise<ServerCertificate>,
  now: () => Date,
): Promise<KeptServerCertificate> {
  const listeners: ((certificate: ServerCertificate) => void)[] = [];
  let current = await issue();
  return {
    current: () => current,
    expiresAt: () => new X509Certificate(current.certPem).validToDate,
    onRenewed: (listener) => {
      listeners.push(listener);
    },
    renewIfDue: async () => {
      const { validFromDate: from, validToDate: to } = new X509Certificate(current.certPem);
      const dueMs = from.getTime() + ((to.getTime() - from.getTime()) * 2) / 3;
      if (now().getTime() < dueMs) return false;
      current = await issue();
      for (const listener of listeners) listener(current);
      return true;
    },
  };
}
