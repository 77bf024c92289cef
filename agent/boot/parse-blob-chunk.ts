/**
 * The `data` field of an encoded FetchBlobResponse as a view into the message: the generated decoder copies
 * it, which costs as much as the hash. Wire format: protobuf encoding guide; field 1, wire type 2, other
 * fields are skipped. Throws on bytes that are no such message.
 */
export function parseBlobChunk(message: Buffer): Buffer {
  let data: Buffer = EMPTY;
  let at = 0;
  while (at < message.length) {
    const tag = readVarint(message, at);
    const value = skipField(message, tag.value & 7, tag.next);
    if (tag.value === FIELD_1_BYTES) data = message.subarray(value.start, value.end);
    at = value.end;
  }
  return data;
}

const EMPTY = Buffer.alloc(0);
const FIELD_1_BYTES = 0x0a;

function skipField(message: Buffer, wireType: number, at: number): { start: number; end: number } {
  switch (wireType) {
    case 0:
      return within(message, at, readVarint(message, at).next);
    case 1:
      return within(message, at, at + 8);
    case 2: {
      const length = readVarint(message, at);
      return within(message, length.next, length.next + length.value);
    }
    case 5:
      return within(message, at, at + 4);
    default:
      throw new Error(`blob message has wire type ${wireType}`);
  }
}

function within(message: Buffer, start: number, end: number): { start: number; end: number } {
  if (end > message.length) throw new Error("blob message is cut short");
  return { start, end };
}

/** Base 128, least significant group first; up to 10 bytes on the wire, up to 2^53 here. */
function readVarint(message: Buffer, start: number): { value: number; next: number } {
  let value = 0;
  let at = start;
  for (let factor = 1; at < start + 10; factor *= 128) {
    const byte = message[at++];
    if (byte === undefined) break;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value, next: at };
  }
  throw new Error("blob message has a broken number");
}
