/** A port machines on the boot network must reach. */
export interface NeededPort {
  readonly protocol: "tcp" | "udp";
  readonly port: number;
}

/**
 * The ports a packet filter seems to close, from `nft list ruleset` or `iptables -S INPUT`. A guess for a person to
 * check, not a simulation: the filter closes what no accepting rule names when its input chain drops by policy or ends
 * in drop or reject. Rules that accept everything of an interface or network count for all ports.
 */
export function parseFirewall(rules: string, needed: readonly NeededPort[]): readonly NeededPort[] {
  const lines = rules.split("\n").map((line) => line.trim());
  const closes =
    /type filter hook input [^\n]*policy drop/.test(rules) ||
    lines.some((line) =>
      /^(-P INPUT DROP|-A INPUT -j (DROP|REJECT)|(counter \S+ \d+ \S+ \d+ )?(drop|reject)\b.*)$/.test(line),
    );
  if (!closes) return [];
  const accepting = lines.filter((line) => /\baccept\b|-j ACCEPT/.test(line) && !/^type |^-P /.test(line));
  const opensAll = accepting.some(
    (line) =>
      !/dport|sport|ct state|ctstate|icmp|\blo\b|"lo"|iifname|^-A INPUT -i lo/.test(line) &&
      /saddr|-s \d/.test(line),
  );
  return opensAll ? [] : needed.filter((port) => !accepting.some((line) => names(line, port)));
}

function names(line: string, { protocol, port }: NeededPort): boolean {
  if (!/dport/.test(line) || !(line.includes(protocol) || line.includes("th dport"))) return false;
  const ports = /dports? (\{[^}]*\}|\S+)/.exec(line)?.[1] ?? "";
  const wellKnown: Readonly<Record<string, number>> = { bootps: 67, tftp: 69, ssh: 22, http: 80, https: 443 };
  return ports
    .replaceAll(/[{}\s]/g, "")
    .split(",")
    .some((one) => {
      const [from = Number.NaN, to = from] = one.split(/[-:]/).map((end) => wellKnown[end] ?? Number(end));
      return port >= from && port <= to;
    });
}
