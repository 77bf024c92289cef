/** One piece of work after the other. */
export function openTurns(): {
  readonly take: <T>(work: () => Promise<T>) => Promise<T>;
  /** How many are taken and have not ended. */
  readonly waiting: () => number;
} {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  return {
    take: (work) => {
      waiting += 1;
      const result = last.then(work).finally(() => {
        waiting -= 1;
      });
      last = result.catch(() => undefined);
      return result;
    },
    waiting: () => waiting,
  };
}
