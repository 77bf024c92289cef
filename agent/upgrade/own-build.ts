declare const MUSTER_AGENT_BUILD: string | undefined;

/** The name of this build of the agent, which packaging/build-agent.ts puts in; empty when run from its sources. */
export const OWN_BUILD = typeof MUSTER_AGENT_BUILD === "string" ? MUSTER_AGENT_BUILD : "";
