/**
 * Whether a word may stand on the kernel command line of a boot script: undefined, or the reason why not.
 *
 * iPXE has no quoting and no escape (src/core/exec.c, src/image/script.c): it splits a line at white space, expands
 * `${setting}` in each word, ends the command at a word that is `&&`, `||` or `;`, ignores everything from a word that
 * begins with `#`, and joins a line ending in `\` with the next. The kernel in turn groups words by `"` (lib/cmdline.c).
 * `renderKernelWord` spells the operators and `#` so that they pass; what has no spelling is refused here.
 */
export function validateKernelArgument(argument: string): string | undefined {
  if (argument === "") return "is empty";
  if (argument.length > 512) return "is longer than 512 characters";
  if (!/^[\x20-\x7e]*$/.test(argument)) return "holds a line break, a tab or a character that is not ASCII";
  if (argument.includes("${")) return "holds ${, which iPXE would replace by one of its settings";
  const quotes = argument.split('"').length - 1;
  if (quotes % 2 !== 0) return 'holds an unpaired "';
  const outside = argument.split('"').filter((_, at) => at % 2 === 0);
  if (outside.some((part) => part.includes(" "))) return 'holds a blank outside "..."';
  if (argument.includes("  ")) return "holds two blanks in a row, of which iPXE keeps one";
  return undefined;
}
