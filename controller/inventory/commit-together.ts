import { type Kysely, sql, type Transaction } from "kysely";

/** One change: all of it or, when it throws, nothing. */
type Work<Tables, T> = (tx: Transaction<Tables>) => Promise<T>;

interface Waiting<Tables> {
  readonly work: Work<Tables, unknown>;
  readonly succeed: (result: unknown) => void;
  readonly fail: (error: unknown) => void;
}

/** The longest a change waits behind others is about this many changes; each takes some tenths of a millisecond. */
const MOST_TOGETHER = 64;

/**
 * Runs changes that arrive at the same time as one transaction of the database, each within a savepoint of its own.
 * Making a transaction last costs milliseconds of waiting for the disk, and nothing else happens in the program
 * meanwhile: with a rack of nodes booting that was a third of musterd's time. A change is reported done when it is
 * on the disk, never before. `ended` is told of each transaction before those whose changes it held are.
 */
export function commitTogether<Tables>(
  db: Kysely<Tables>,
  ended: (isCommitted: boolean) => void = () => undefined,
): <T>(work: Work<Tables, T>) => Promise<T> {
  const waiting: Waiting<Tables>[] = [];
  let isScheduled = false;

  const commitAll = async (): Promise<void> => {
    while (waiting.length > 0) await commitBatch(db, waiting.splice(0, MOST_TOGETHER), ended);
    isScheduled = false;
  };
  return <T>(work: Work<Tables, T>) =>
    new Promise<T>((resolve, reject) => {
      waiting.push({
        work,
        succeed: (result) => {
          resolve(result as T);
        },
        fail: reject,
      });
      if (isScheduled) return;
      isScheduled = true;
      // After all requests that have arrived by now were looked at: theirs come along.
      setImmediate(() => void commitAll());
    });
}

/** Never rejects: each change is told what became of it. */
async function commitBatch<Tables>(
  db: Kysely<Tables>,
  batch: readonly Waiting<Tables>[],
  ended: (isCommitted: boolean) => void,
): Promise<void> {
  const settled: (() => void)[] = [];
  try {
    await db.transaction().execute(async (tx) => {
      for (const { work, succeed, fail } of batch) {
        await sql`savepoint change`.execute(tx);
        try {
          const result = await work(tx);
          settled.push(() => {
            succeed(result);
          });
        } catch (error) {
          // After a full disk SQLite has rolled all of it back; then this throws, and all changes have failed.
          await sql`rollback to change`.execute(tx).catch(() => {
            throw error;
          });
          settled.push(() => {
            fail(error);
          });
        }
        await sql`release change`.execute(tx);
      }
    });
  } catch (error) {
    ended(false);
    for (const { fail } of batch) fail(error);
    return;
  }
  ended(true);
  for (const settle of settled) settle();
}
