import { isScalar, parseDocument, visit } from "yaml";

import { MusterError } from "#proto/contract/muster-error.ts";

import type { Json } from "../../fields/fields.ts";

/**
 * A value given as YAML on the command line: '[a, b]', '{spec: nfs}', text. A number that would not be written back as it stands
 * (6.10, 007) stays text. `argument-invalid`, with `what` it is for.
 */
export function parseYamlValue(text: string, what: string): Json {
  const document = parseDocument(text, { schema: "core", uniqueKeys: true });
  const [error] = document.errors;
  if (error !== undefined) {
    throw new MusterError({
      code: "argument-invalid",
      what: `${what}: ${error.message.split("\n")[0] ?? "this is no YAML"}`,
      fix: "put YAML in quotes for the shell: '[a, b]', '{spec: server:/home, file: /home}'",
    });
  }
  visit(document, {
    Scalar: (_, scalar) => {
      if (isScalar(scalar) && typeof scalar.value === "number" && scalar.source !== String(scalar.value)) {
        scalar.value = scalar.source ?? "";
      }
    },
  });
  return document.toJS({ maxAliasCount: 100 }) as Json;
}
