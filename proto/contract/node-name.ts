import { MusterError } from "./muster-error.ts";

/** A node's name: one DNS label, lower case (RFC 1123 section 2.1). Made by {@link parseNodeName}. */
export type NodeName = string & { readonly brand: "NodeName" };

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Reads a node name; throws `name-invalid`. A name of digits only is refused: tools take it for an address. */
export function parseNodeName(text: string): NodeName {
  if (LABEL.test(text) && !/^\d+$/.test(text)) return text as NodeName;
  throw new MusterError({
    code: "name-invalid",
    what: `${JSON.stringify(text.slice(0, 100))} is not a node name`,
    fix: "use 1 to 63 of a-z, 0-9 and '-', not only digits, neither first nor last '-', for example c001",
  });
}
