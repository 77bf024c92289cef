import type { Json } from "../../fields/fields.ts";
import { resolveScalar } from "../../text/resolve-scalar.ts";
import type { LocatedScalar, LocatedValue } from "./parse-located-yaml.ts";

/**
 * Free YAML as JSON. No scalar loses its text: what is not the usual spelling of a number stays text ("0755", "1.10"), and so do
 * YAML 1.1's other words for true and false ("yes", "on"), as in Go's yaml.v3.
 * `octals` are told: Warewulf's templates saw a number that is written otherwise, and see text from now on.
 */
export function readResource(
  value: LocatedValue,
  octals: (scalar: LocatedScalar, below: string) => void,
  below = "",
): Json {
  if (value.kind === "list")
    return value.items.map((item, at) => readResource(item, octals, `${below}[${at}]`));
  if (value.kind === "map") {
    return Object.fromEntries(
      [...value.entries].map(([name, entry]) => [
        name,
        readResource(entry.value, octals, `${below}.${name}`),
      ]),
    );
  }
  const { text, isPlain } = value;
  if (!isPlain) return text;
  if (/^(True|TRUE)$/.test(text)) return true;
  if (/^(False|FALSE)$/.test(text)) return false;
  const resolved = resolveScalar(text);
  if (typeof resolved !== "string") return resolved;
  if (/^[-+]?(0[0-7_]+|0[ox][0-9a-f_]+|[\d_]*_[\d_]+)$/i.test(text)) octals(value, below);
  return text;
}
