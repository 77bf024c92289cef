/** One archive to take packages from. */
export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** Path of a keyring, where the source names one. */
  readonly signedBy?: string;
}

/**
 * Reads apt's sources (sources.list(5)): the one-line style of sources.list and the stanzas of *.sources.
 * Returns the archives of the distribution itself: type deb, component main, and the suite `codename`, its
 * updates or its security fixes. Other vendors' archives must not get into an image, nor fail its build.
 */
export function parseAptSources(text: string, codename: string): readonly AptSource[] {
  const suites = new Set([codename, `${codename}-updates`, `${codename}-security`, `${codename}/updates`]);
  const all = /^\s*Types:/im.test(text) ? parseStanzas(text) : parseLines(text);
  return all.filter(({ suite, components }) => suites.has(suite) && components.includes("main"));
}

/** The same as lines of sources.list. */
export function renderAptSources(sources: readonly AptSource[]): string {
  return sources
    .map(({ uri, suite, components, signedBy }) => {
      const options = signedBy === undefined ? "" : `[signed-by=${signedBy}] `;
      return `deb ${options}${uri} ${suite} ${components.join(" ")}\n`;
    })
    .join("");
}

function parseLines(text: string): readonly AptSource[] {
  return text.split("\n").flatMap((line) => {
    const [, options, rest] = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?([^#]+)/.exec(line) ?? [];
    const [uri, suite, ...components] = rest?.trim().split(/\s+/) ?? [];
    if (uri === undefined || suite === undefined) return [];
    const signedBy = /(?:^|\s)signed-by=(\/[^\s,]+)/.exec(options ?? "")?.[1];
    return [{ uri, suite, components, ...(signedBy === undefined ? {} : { signedBy }) }];
  });
}

function parseStanzas(text: string): readonly AptSource[] {
  const withoutComments = text.replaceAll(/^#.*\n?/gm, "");
  return withoutComments.split(/\n\s*\n/).flatMap((stanza) => {
    const words = (field: string): readonly string[] => {
      // A value goes on over lines that begin with a blank.
      const value = new RegExp(`^${field}:((?:.*)(?:\\n[ \\t].*)*)`, "im").exec(stanza)?.[1];
      return value?.trim().split(/\s+/) ?? [];
    };
    if (!words("Types").includes("deb") || words("Enabled")[0] === "no") return [];
    const signedBy = words("Signed-By").find((word) => word.startsWith("/"));
    return words("URIs").flatMap((uri) =>
      words("Suites").map((suite) => ({
        uri,
        suite,
        components: words("Components"),
        ...(signedBy === undefined ? {} : { signedBy }),
      })),
    );
  });
}
