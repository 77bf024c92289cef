/** Longer than this nobody else has to wait for the event loop. */
const MOST_MS = 25;

/** For long work in pieces: call it between them, and others get their turn when they have waited long enough. */
export function takeTurns(): () => Promise<void> {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < MOST_MS) return;
    await new Promise(setImmediate);
    since = performance.now();
  };
}

/** Runs a generator to its end, with a pause at each yield. */
export async function runInTurns<T>(steps: Generator<void, T>, pause: () => Promise<void>): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await pause();
  }
}
