import { type CliContext, EXIT_FINDINGS } from "../cli-context.ts";

/**
 * Prints what the controller streams, as it comes, until Ctrl-C; with -o json or yaml each record is a document (a line
 * of JSON) of its own. `records` is asked for them with a signal that ends with the command. The exit status is not 0
 * when it was the controller that ended the stream.
 */
export async function printStream<T>(
  context: CliContext,
  records: (signal: AbortSignal) => AsyncIterable<T>,
  render: (record: T) => string,
): Promise<number> {
  const { process } = context;
  for await (const record of records(process.signal)) {
    if (context.output === "json") process.out(`${JSON.stringify(record)}\n`);
    else {
      if (context.output === "yaml") process.out("---\n");
      await context.print(record, () => render(record));
    }
  }
  if (process.signal.aborted) return 0;
  context.note("muster: the controller ended the stream");
  return EXIT_FINDINGS;
}
