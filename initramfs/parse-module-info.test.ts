import { expect, test } from "vitest";

import { parseModuleFirmware } from "./parse-module-info.ts";

test("every firmware file a module names is found, once and sorted", () => {
  const module = Buffer.from(
    "\x7fELF..\0license=GPL\0firmware=tigon/tg3_tso.bin\0firmware=tigon/tg3.bin\0firmware=tigon/tg3.bin\0author=x\0",
  );
  expect(parseModuleFirmware(module)).toEqual(["tigon/tg3.bin", "tigon/tg3_tso.bin"]);
});

test.each([
  ["leads out of the firmware directory", "\0firmware=../../etc/shadow\0"],
  ["does not end", "\0firmware=tigon/tg3.bin"],
  ["holds control characters", "\0firmware=a\nb\0"],
  ["is empty", "\0firmware=\0"],
])("a name that %s is left out", (_, text) => {
  expect(parseModuleFirmware(Buffer.from(text))).toEqual([]);
});
