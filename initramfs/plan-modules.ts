/** The index files of lib/modules/RELEASE that depmod(8) writes, as text. */
export interface ModuleIndex {
  /** modules.dep */
  readonly dependencies: string;
  /** modules.alias */
  readonly aliases: string;
  /** modules.softdep */
  readonly softDependencies: string;
  /** modules.builtin */
  readonly builtin: string;
}

/** What goes into a modules archive. Paths are relative to lib/modules/RELEASE. */
export interface ModulePlan {
  /** In sorted order. `from` is the file in the tree (may end in .xz, .zst, .gz), `to` ends in .ko. */
  readonly files: readonly { readonly from: string; readonly to: string }[];
  /** The index files, for these modules only. */
  readonly dependencies: string;
  readonly aliases: string;
  /** Required modules that are neither there nor built into the kernel. */
  readonly missing: readonly string[];
}

/**
 * Picks modules. Patterns, in any order:
 * - `kernel/drivers/net/ethernet/**`: by path; `*` stays within one directory, `**` does not
 * - `virtio_net`, `nvme*`: by module name; "-" and "_" are the same
 * - `!PATTERN`: not these, unless something else depends on them
 * - `+NAME`: as NAME, and required: it has to be a module or built in
 * Everything the picked ones depend on comes too, and what they softly depend on (modules.softdep) where
 * it exists; a soft dependency may be an alias such as crypto-crc32c.
 */
export function planModules(index: ModuleIndex, patterns: readonly string[]): ModulePlan {
  const modules = readDependencies(index.dependencies);
  const builtin = new Set(lines(index.builtin).map(moduleName));
  const aliases = readAliases(index.aliases);
  const soft = readSoftDependencies(index.softDependencies);
  const byName = new Map([...modules.keys()].map((path) => [moduleName(path), path] as const));

  const excluded = patterns.filter((p) => p.startsWith("!")).map((p) => matcher(p.slice(1)));
  const included = patterns.filter((p) => !p.startsWith("!")).map((p) => matcher(p.replace(/^\+/, "")));
  const picked = new Set<string>();
  const pick = (path: string): void => {
    if (picked.has(path)) return;
    picked.add(path);
    for (const dependency of modules.get(path) ?? []) pick(dependency);
    for (const wanted of soft.get(moduleName(path)) ?? []) {
      for (const name of [normal(wanted), ...(aliases.get(normal(wanted)) ?? [])]) {
        const found = byName.get(name);
        if (found !== undefined) pick(found);
      }
    }
  };
  for (const path of modules.keys()) {
    const plain = withoutCompression(path);
    if (included.some((fits) => fits(plain)) && !excluded.some((fits) => fits(plain))) pick(path);
  }

  const names = new Set([...picked].map(moduleName));
  const sorted = [...picked].sort();
  return {
    files: sorted.map((from) => ({ from, to: withoutCompression(from) })),
    dependencies: joinLines(
      sorted.map((path) =>
        `${withoutCompression(path)}: ${(modules.get(path) ?? []).map(withoutCompression).join(" ")}`.trim(),
      ),
    ),
    aliases: joinLines(
      lines(index.aliases).filter((line) => names.has(normal(/^alias \S+ (\S+)$/.exec(line)?.[1] ?? ""))),
    ),
    missing: patterns
      .filter((p) => p.startsWith("+"))
      .map((p) => p.slice(1))
      .filter((name) => !byName.has(normal(name)) && !builtin.has(normal(name))),
  };
}

/** The name the kernel knows a module by: file name without suffixes, "_" for "-". */
export function moduleName(path: string): string {
  return normal(withoutCompression(path.slice(path.lastIndexOf("/") + 1)).replace(/\.ko$/, ""));
}

/** Patterns of a driver list: one a line, "#" starts a comment. */
export function parseDriverList(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "");
}

function readDependencies(text: string): ReadonlyMap<string, readonly string[]> {
  const modules = new Map<string, readonly string[]>();
  for (const line of lines(text)) {
    const [, path, needs] = /^([^:]+):(.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    modules.set(
      path,
      (needs ?? "")
        .trim()
        .split(/\s+/)
        .filter((need) => need !== ""),
    );
  }
  return modules;
}

function readAliases(text: string): ReadonlyMap<string, readonly string[]> {
  const aliases = new Map<string, string[]>();
  for (const line of lines(text)) {
    const [, alias, name] = /^alias (\S+) (\S+)$/.exec(line) ?? [];
    if (alias === undefined || name === undefined) continue;
    const names = aliases.get(normal(alias));
    if (names === undefined) aliases.set(normal(alias), [normal(name)]);
    else names.push(normal(name));
  }
  return aliases;
}

/** modules.softdep: "softdep NAME pre: A B post: C"; older lists leave out "pre:". */
function readSoftDependencies(text: string): ReadonlyMap<string, readonly string[]> {
  const soft = new Map<string, string[]>();
  for (const line of lines(text)) {
    const [, name, rest] = /^softdep (\S+) (.*)$/.exec(line) ?? [];
    if (name === undefined || rest === undefined) continue;
    const wanted = rest.split(/\s+/).filter((word) => word !== "" && !word.endsWith(":"));
    soft.set(normal(name), [...(soft.get(normal(name)) ?? []), ...wanted]);
  }
  return soft;
}

function matcher(pattern: string): (path: string) => boolean {
  if (!pattern.includes("/")) {
    const expression = glob(normal(pattern));
    return (path) => expression.test(moduleName(path));
  }
  const expression = glob(pattern.replace(/\.ko$/, ""));
  return (path) => expression.test(path.replace(/\.ko$/, ""));
}

function glob(pattern: string): RegExp {
  const source = pattern
    .split(/(\*\*|\*)/)
    .map((part) =>
      part === "**" ? ".*" : part === "*" ? "[^/]*" : part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"),
    )
    .join("");
  return new RegExp(`^${source}$`);
}

function withoutCompression(path: string): string {
  return path.replace(/\.ko\.(xz|zst|gz)$/, ".ko");
}

function normal(name: string): string {
  return name.replaceAll("-", "_");
}

function lines(text: string): readonly string[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

function joinLines(all: readonly string[]): string {
  return all.map((line) => `${line}\n`).join("");
}
