/**
 * Version of the agent-controller contract this build speaks. It grows when meaning changes in a way the
 * wire format cannot express; a controller serves agents of its own version and the one before.
 */
export const PROTOCOL_VERSION = 1;

/** The oldest agent a controller of this build still serves. */
export const OLDEST_SERVED_PROTOCOL_VERSION = 1;
