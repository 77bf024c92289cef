/**
 * Gives `Reflect` the three functions of the reflect-metadata proposal that tsyringe, underneath
 * @peculiar/x509, asks for at load time. Import this before @peculiar/x509.
 *
 * The reflect-metadata package would do the same with 1,000 lines and a further dependency in the agent.
 * Decorator metadata is only ever emitted by TypeScript's legacy decorators, which that bundle does not use
 * at run time beyond storing and reading back its own tokens.
 */
type MetadataOf = Map<unknown, unknown>;

const store = new WeakMap<object, MetadataOf>();

function own(key: unknown, target: object): unknown {
  return store.get(target)?.get(key);
}

function inherited(key: unknown, target: object): unknown {
  for (let at: object | null = target; at !== null; at = Reflect.getPrototypeOf(at)) {
    const metadata = store.get(at);
    if (metadata?.has(key) === true) return metadata.get(key);
  }
  return undefined;
}

function define(key: unknown, value: unknown, target: object): void {
  const metadata = store.get(target) ?? new Map<unknown, unknown>();
  metadata.set(key, value);
  store.set(target, metadata);
}

if (!("getMetadata" in Reflect)) {
  Object.assign(Reflect, { getMetadata: inherited, getOwnMetadata: own, defineMetadata: define });
}
