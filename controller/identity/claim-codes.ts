import { randomInt } from "node:crypto";

/** No 0/O, 1/I/L, U (like V): read off a console across the aisle and typed by hand. */
const ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ";
const CLAIM_CODE = new RegExp(`^[${ALPHABET}]{4}-?[${ALPHABET}]{4}$`);

/** A new claim code: "K7QM-2XHD", 39 random bits. */
export function makeClaimCode(): string {
  const letters = Array.from({ length: 8 }, () => ALPHABET.charAt(randomInt(ALPHABET.length))).join("");
  return `${letters.slice(0, 4)}-${letters.slice(4)}`;
}

/** A claim code as a person types it - any case, with or without the dash - in its one spelling. */
export function readClaimCode(text: string): string | undefined {
  const upper = text.trim().toUpperCase();
  if (!CLAIM_CODE.test(upper)) return undefined;
  const letters = upper.replace("-", "");
  return `${letters.slice(0, 4)}-${letters.slice(4)}`;
}
