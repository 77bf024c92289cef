/**
 * The known words a person may have meant, nearest first, at most three: for "did you mean".
 * A word is near when at most a third of its letters (but at least one, at most three) would have to change;
 * swapping two neighbours counts as one change (Damerau-Levenshtein, restricted).
 *
 * closestWords("adress", ["address", "names"]) gives ["address"]
 */
export function closestWords(word: string, known: Iterable<string>): readonly string[] {
  const wanted = word.toLowerCase();
  const near: { readonly candidate: string; readonly changes: number }[] = [];
  for (const candidate of known) {
    const limit = Math.min(3, Math.max(1, Math.floor(candidate.length / 3)));
    if (Math.abs(candidate.length - wanted.length) > limit) continue;
    const changes = countChanges(wanted, candidate.toLowerCase());
    if (changes <= limit) near.push({ candidate, changes });
  }
  return near
    .sort((a, b) => a.changes - b.changes || a.candidate.localeCompare(b.candidate))
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

function countChanges(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const changed = Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1);
      const isSwap = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      current.push(
        isSwap ? Math.min(changed, (beforePrevious[column - 2] ?? Number.POSITIVE_INFINITY) + 1) : changed,
      );
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
}
