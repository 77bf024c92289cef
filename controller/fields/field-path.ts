import { MusterError } from "#proto/contract/muster-error.ts";

/**
 * The way to a field: names, and positions in lists.
 *
 * As text, names are joined by dots, positions stand in brackets, and a name that holds anything but letters, digits and
 * `_ - / : ~ @` is written as a JSON string: `devices.eno1.mtu`, `devices."bond0.100".vlanId`, `disks./dev/sda.wipeTable`,
 * `kernelArguments[0]`.
 */
export type FieldPath = readonly (string | number)[];

const PLAIN = /^[A-Za-z0-9_/:~@-]+/;
const QUOTED = /^"(?:[^"\\]|\\.)*"/;
const POSITION = /^\[(\d{1,6})\]/;

export function renderFieldPath(path: FieldPath): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    const name = PLAIN.exec(part)?.[0] === part ? part : JSON.stringify(part);
    return text === "" ? name : `${text}.${name}`;
  }, "");
}

/** Reads what {@link renderFieldPath} writes; `argument-invalid` for anything else. */
export function parseFieldPath(text: string): FieldPath {
  const path: (string | number)[] = [];
  let rest = text;
  while (rest !== "" || path.length === 0) {
    const position = path.length === 0 ? undefined : POSITION.exec(rest);
    if (position?.[1] !== undefined) {
      path.push(Number(position[1]));
      rest = rest.slice(position[0].length);
      continue;
    }
    if (path.length > 0) {
      if (!rest.startsWith(".")) throw unreadable(text, rest);
      rest = rest.slice(1);
    }
    const token = (QUOTED.exec(rest) ?? PLAIN.exec(rest))?.[0];
    if (token === undefined) throw unreadable(text, rest);
    path.push(token.startsWith('"') ? unquote(text, token) : token);
    rest = rest.slice(token.length);
  }
  return path;
}

function unquote(text: string, token: string): string {
  try {
    return JSON.parse(token) as string;
  } catch (cause) {
    throw unreadable(text, token, cause);
  }
}

function unreadable(text: string, rest: string, cause?: unknown): MusterError {
  return new MusterError({
    code: "argument-invalid",
    what: `${JSON.stringify(text.slice(0, 200))} is not the path of a field: ${rest === "" ? "it ends too early" : `it cannot be read from ${JSON.stringify(rest.slice(0, 40))} on`}`,
    fix: 'write names with dots between, and quote a name that holds a dot: devices."bond0.100".mtu',
    cause,
  });
}
