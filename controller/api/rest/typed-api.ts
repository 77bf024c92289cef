import type { IncomingMessage, ServerResponse } from "node:http";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from "fastify";

import type { Author } from "../../inventory/inventory.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Who asks: set before any handler runs. */
    author: Author;
  }
}

/** The server, for those who add routes: requests have the types of their schemas. */
export type TypedApi = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;
