import { createHash } from "node:crypto";

/** SHA-256 of an API token, hex: what the inventory keeps of it. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
