import { Type } from "typebox";

import { MusterError } from "#proto/contract/muster-error.ts";

import type { ApiDependencies } from "./api-dependencies.ts";
import { hashToken } from "./hash-token.ts";
import { presentToken } from "./present.ts";
import { CreatedToken, NewToken, Nothing, REFUSALS, TokenList } from "./schemas.ts";
import type { TypedApi } from "./typed-api.ts";

const TOKEN_NAME = /^[a-z0-9][a-z0-9._-]{0,31}$/i;

/** Tokens for the API over HTTPS. */
export function addTokenRoutes(api: TypedApi, deps: ApiDependencies): void {
  api.get(
    "/api/v1/tokens",
    { schema: { summary: "Tokens by name; never themselves", response: { 200: TokenList, ...REFUSALS } } },
    async () => ({ tokens: (await deps.inventory.listApiTokens()).map(presentToken) }),
  );

  api.post(
    "/api/v1/tokens",
    {
      schema: {
        summary: "Make a token; it is shown this once",
        body: NewToken,
        response: { 201: CreatedToken, ...REFUSALS },
      },
    },
    async ({ body: { name } }, reply) => {
      if (!TOKEN_NAME.test(name)) {
        throw new MusterError({
          code: "name-invalid",
          what: `${JSON.stringify(name.slice(0, 100))} cannot name a token`,
          fix: "use 1 to 32 letters, digits, '.', '_' and '-'",
        });
      }
      // the prefix lets people and secret scanners see what leaked
      const token = `muster_${deps.randomBytes(32).toString("base64url")}`;
      await deps.inventory.addApiToken(name, hashToken(token));
      return reply.code(201).send({ name, token });
    },
  );

  api.delete(
    "/api/v1/tokens/:name",
    {
      schema: {
        summary: "Void a token at once",
        params: Type.Object({ name: Type.String() }),
        response: { 204: Nothing, ...REFUSALS },
      },
    },
    async ({ params: { name } }, reply) => {
      await deps.inventory.deleteApiToken(name);
      return reply.code(204).send(null);
    },
  );
}
