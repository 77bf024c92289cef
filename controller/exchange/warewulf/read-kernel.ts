import type { LocatedEntry } from "./parse-located-yaml.ts";
import { markWords } from "./read-warewulf-field.ts";
import type { RecordReading } from "./record-reading.ts";

/** What the kernel is told, word by word, without what is for Warewulf's own start of a node. */
export function readKernelArguments(reading: RecordReading, key: string, entry: LocatedEntry): void {
  const words = reading.textsOf(key, entry, /\s+/).flatMap(splitArguments);
  const origin = reading.originOf(key, entry);
  const kept = words.filter((word) => !/^~?(wwinit\.|wwid=|root=wwinit)/.test(word));
  for (const word of words) {
    if (!kept.includes(word))
      reading.leave({ ...origin, value: word }, "it speaks to Warewulf's own start of a node");
  }
  if (kept.length > 0) reading.put(["kernelArguments"], kept, origin);
  markWords(reading, ["kernelArguments"], entry);
}

/** "quiet console=ttyS0" is two arguments; what is in double quotes stays together, as the kernel has it. */
function splitArguments(text: string): readonly string[] {
  const mark = text.startsWith("~") ? "~" : "";
  const words = text.slice(mark.length).match(/(?:[^\s"]|"[^"]*")+|"/g) ?? [];
  return words.map((word) => `${mark}${word}`);
}

/** Warewulf names a kernel by its version or by its path in the image, 4.2 to 4.5 also by what it was imported as. */
export function readKernelVersion(reading: RecordReading, key: string, entry: LocatedEntry): void {
  const text = reading.textOf(key, entry);
  if (text === undefined) return;
  const origin = reading.originOf(key, entry);
  const version = /^\/(?:boot\/vmlinu[xz]-|lib\/modules\/|usr\/lib\/modules\/)(\d[^/]*)(?:\/vmlinuz)?$/.exec(
    text,
  )?.[1];
  if (version !== undefined) {
    reading.put(["kernelVersion"], version, origin);
    reading.change(origin, `became kernelVersion ${version}`);
  } else if (/^\d/.test(text)) reading.put(["kernelVersion"], text, origin);
  else
    reading.leave(origin, "it is not the version of a kernel", "muster boots the newest kernel of the image");
}
