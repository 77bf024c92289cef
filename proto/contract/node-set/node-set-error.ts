import { MusterError } from "../muster-error.ts";

/**
 * No node set may name more nodes than this. It is a hundred times the largest cluster in sight and keeps
 * `c[0-999999999]` from filling the memory of whoever reads it.
 */
export const MAX_NODE_SET_SIZE = 1_000_000;

/** `node-set-invalid` at a place of the text, counted from 0; people are told the column, from 1. */
export function nodeSetInvalid(text: string, at: number, what: string, fix?: string): MusterError {
  const shown = text.length > 200 ? `${text.slice(0, 200)}...` : text;
  return new MusterError({
    code: "node-set-invalid",
    what: `node set ${JSON.stringify(shown)}, column ${at + 1}: ${what}`,
    fix: fix ?? "write names like c[001-064,070],login",
  });
}

/** `node-set-invalid` for a set that would be acted on and has nobody in it: its groups are empty now, or its operators left nothing. */
export function nodeSetEmpty(text: string): MusterError {
  return nodeSetInvalid(
    text,
    0,
    "no node is in it now",
    "`muster node list` shows all nodes and what they do",
  );
}

/** `node-set-invalid` for a set beyond {@link MAX_NODE_SET_SIZE}. */
export function nodeSetTooLarge(text: string, at: number): MusterError {
  return nodeSetInvalid(text, at, `this names more than ${MAX_NODE_SET_SIZE} nodes`);
}
