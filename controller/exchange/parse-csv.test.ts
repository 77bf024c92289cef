import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { CSV_SEPARATORS, detectSeparator, parseCsv } from "./parse-csv.ts";

const texts = (text: string, separator?: (typeof CSV_SEPARATORS)[number]): string[][] =>
  parseCsv(text, separator).rows.map((row) => row.map((cell) => cell.text));

describe("cells", () => {
  it("may be quoted, and hold separators, quotes and line ends then", () => {
    expect(texts('a,"b,c","d ""e"" f"\r\n"g\r\nh",i,\r\n')).toEqual([
      ["a", "b,c", 'd "e" f'],
      ["g\r\nh", "i", ""],
    ]);
  });

  it("have the place of their first character, also behind line ends within quotes", () => {
    expect(
      parseCsv('\uFEFFa,b\n"c\nd\ne",f\ng,h').rows.map((row) =>
        row.map(({ line, column }) => [line, column]),
      ),
    ).toEqual([
      [
        [1, 1],
        [1, 3],
      ],
      [
        [2, 1],
        [4, 4],
      ],
      [
        [5, 1],
        [5, 3],
      ],
    ]);
  });

  it("are read back as they were written, whatever is in them", () => {
    const row = fc.array(
      fc.string({ unit: fc.constantFrom("a", "b", " ", ";", ",", "\t", "|", '"', "\r", "\n") }),
      {
        minLength: 2,
        maxLength: 5,
      },
    );
    fc.assert(
      fc.property(
        fc.array(row),
        fc.constantFrom(...CSV_SEPARATORS),
        fc.constantFrom("\n", "\r\n", "\r"),
        (rows, by, end) => {
          const text = rows
            .map((cells) => cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(by))
            .join(end);
          expect(texts(text, by)).toEqual(rows);
          expect(parseCsv(text, by).findings).toEqual([]);
        },
      ),
    );
  });

  it("lines with nothing on them are no rows", () => {
    expect(texts("a,b\n\n  \nc,d\n\n")).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
  });
});

describe("separators", () => {
  it("are told from the first line, outside of quotes", () => {
    expect(CSV_SEPARATORS.map((by) => detectSeparator(["a", '"b,,,,;;;;"', "c"].join(by)))).toEqual([
      ...CSV_SEPARATORS,
    ]);
    expect(detectSeparator("name")).toBe(",");
  });
});

describe("what cannot be read", () => {
  it("is a quote that never closes, text behind one that does, and a quote in a plain cell", () => {
    expect(parseCsv('a,"b\nc').findings).toEqual([
      {
        line: 1,
        column: 3,
        key: "",
        what: "this quote is never closed",
        fix: 'close it with "; write a quote within as ""',
      },
    ]);
    expect(parseCsv('"a"b,c\nd"e,f\n').findings).toEqual([
      {
        line: 1,
        column: 4,
        key: "",
        what: "there is text behind the closing quote",
        fix: 'write a quote within quotes as ""',
      },
      {
        line: 2,
        column: 1,
        key: "",
        what: "there is a quote in a cell without quotes",
        fix: 'write "a ""b"" c"',
      },
    ]);
  });
});
