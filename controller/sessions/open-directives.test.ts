import { expect, test } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";
import type { Directive, DirectiveResult } from "#proto/gen/muster/v1/directive.ts";
import type { Hello } from "#proto/gen/muster/v1/session.ts";

import { openDirectives } from "./open-directives.ts";
import type { LiveSession } from "./serve-session.ts";

const node = parseNodeName("c001");
const hello = {} as Hello;
const action = { $case: "refreshOverlay", value: {} } as const;
const options = { deadlineMs: 10_000 };

function openSession(name = node): { readonly live: LiveSession; readonly asked: Directive[] } {
  const asked: Directive[] = [];
  const live: LiveSession = {
    node: name,
    bootId: "b",
    address: "10.0.0.1",
    send: (message) => {
      if (message.$case === "directive") asked.push(message.value);
    },
  };
  return { live, asked };
}

function result(
  id: string,
  parts: Partial<DirectiveResult> = {},
): { readonly $case: "directiveResult"; value: DirectiveResult } {
  return { $case: "directiveResult", value: { id, code: "", what: "", fix: "", lines: [], ...parts } };
}

test("a node that is asked answers with its lines, cleaned of what a terminal would obey", async () => {
  const directives = openDirectives();
  const { live, asked } = openSession();
  directives.opened?.(live, hello);
  const answer = directives.send(node, action, { deadlineMs: 2500 });
  expect(asked).toEqual([{ id: asked[0]?.id, deadlineSeconds: 3, action }]);
  await directives.received?.(live, result(asked[0]?.id ?? "", { lines: ["applied\u001b[31m 3", "b"] }));
  expect(await answer).toEqual(["applied [31m 3", "b"]);
});

test("ids are never the same", async () => {
  const directives = openDirectives();
  const { live, asked } = openSession();
  directives.opened?.(live, hello);
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(directives.send(node, action, { ...options, signal })).rejects.toThrow("enough");
  expect(asked).toEqual([]);
  const stop = new AbortController();
  const both = [1, 2].map(() => directives.send(node, action, { ...options, signal: stop.signal }));
  expect(new Set(asked.map(({ id }) => id)).size).toBe(2);
  stop.abort(new Error("enough"));
  await expect(both[0]).rejects.toThrow("enough");
  await expect(both[1]).rejects.toThrow("enough");
});

test("what the node says went wrong is thrown, an unknown code as command-failed", async () => {
  const directives = openDirectives();
  const { live, asked } = openSession();
  directives.opened?.(live, hello);
  const known = directives.send(node, action, options);
  const parts = { code: "disk-full", what: "no space", fix: "free some" };
  await directives.received?.(live, result(asked[0]?.id ?? "", parts));
  await expect(known).rejects.toMatchObject({ code: "disk-full", message: "no space", fix: "free some" });
  const odd = directives.send(node, action, options);
  await directives.received?.(live, result(asked[1]?.id ?? "", { code: "from-the-future", what: "odd" }));
  await expect(odd).rejects.toMatchObject({ code: "command-failed", message: "odd", fix: undefined });
});

test("a node without a session, and one whose session ends, are unreachable", async () => {
  const directives = openDirectives();
  await expect(directives.send(node, action, options)).rejects.toMatchObject({
    code: "node-unreachable",
    message: "no session",
  });
  const { live } = openSession();
  directives.opened?.(live, hello);
  const answer = directives.send(node, action, options);
  directives.closed?.(live);
  await expect(answer).rejects.toMatchObject({
    code: "node-unreachable",
    message: "its session ended before it answered",
  });
  await expect(directives.send(node, action, options)).rejects.toMatchObject({ code: "node-unreachable" });
});

test("a session that takes the place of another ends what was asked on that one, and stays when that one closes", async () => {
  const directives = openDirectives();
  const [first, second] = [openSession(), openSession()];
  directives.opened?.(first.live, hello);
  const lost = directives.send(node, action, options);
  directives.opened?.(second.live, hello);
  await expect(lost).rejects.toMatchObject({ code: "node-unreachable" });
  const answer = directives.send(node, action, options);
  directives.closed?.(first.live);
  await directives.received?.(second.live, result(second.asked[0]?.id ?? "", { lines: ["here"] }));
  expect(await answer).toEqual(["here"]);
});

test("no node answers for another", async () => {
  const directives = openDirectives();
  const [own, other] = [openSession(), openSession(parseNodeName("c002"))];
  directives.opened?.(own.live, hello);
  directives.opened?.(other.live, hello);
  const answer = directives.send(node, action, options);
  const id = own.asked[0]?.id ?? "";
  await directives.received?.(other.live, result(id, { lines: ["forged"] }));
  await directives.received?.(own.live, result(id, { lines: ["true"] }));
  expect(await answer).toEqual(["true"]);
});

test("a node that says nothing is given two seconds more than it was told, then is late", async () => {
  const directives = openDirectives();
  const { live } = openSession();
  directives.opened?.(live, hello);
  const started = performance.now();
  await expect(directives.send(node, action, { deadlineMs: -1900 })).rejects.toMatchObject({
    code: "deadline-exceeded",
  });
  expect(performance.now() - started).toBeGreaterThan(50);
});
