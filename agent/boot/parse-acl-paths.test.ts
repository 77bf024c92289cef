import { describe, expect, it } from "vitest";

import { parseAclPaths } from "./parse-acl-paths.ts";

describe("parseAclPaths", () => {
  it("reads each entry's path and undoes getfacl's octal quoting, also of UTF-8", () => {
    const list = [
      "# file: var/log/journal",
      "# owner: root",
      "user::rwx",
      "",
      "# file: a\\040b\\134c",
      "group::r-x",
      "# file: gr\\303\\266\\303\\237e",
      "",
    ].join("\n");
    expect(parseAclPaths(list)).toEqual(["var/log/journal", "a b\\c", "größe"]);
  });

  it("finds nothing in an empty list", () => {
    expect(parseAclPaths("")).toEqual([]);
  });
});
